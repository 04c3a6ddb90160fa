"""What a person should look at before adopted objects become canonical: holes, other owners, changes for others."""

from collections.abc import Iterator, Sequence

from driftd.compile import Compiled, Mode
from driftd.policy.kinds import kind_of
from driftd.values import Body, Live

_MANAGED_BY = "app.kubernetes.io/managed-by"
_OWNED_BY_TOOLS = {
    "meta.helm.sh/release-name": "Helm",
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
_POD_SECURITY = "pod-security.kubernetes.io/enforce"


def review(before: Compiled, after: Compiled, namespace: str, home: Live, others: Sequence[Live]) -> tuple[str, ...]:
    """One sentence a point, the weightiest first. `before` and `after` are the model without and with the namespace."""
    governed = after.governed[namespace]
    told: list[str] = []
    told += _policies(others)
    told += _home(home)
    told += _owners((home, *others))
    told += _coverage(before, after, namespace)
    if governed.mode is Mode.ENFORCE:
        told.append(
            f"the model enforces: from its next revision on, a policy, quota or limit in {namespace} that this file "
            "does not hold is deleted"
        )
    told.append("ServiceAccounts are not adopted: whether their pods get a token stays as it is")
    return tuple(told)


def _policies(others: Sequence[Live]) -> Iterator[str]:
    policies = [one for one in others if (one.ref.group, one.ref.kind) == ("networking.k8s.io", "NetworkPolicy")]
    specs = [(one, _spec(one)) for one in policies]
    for way in ("Ingress", "Egress"):
        if not any(not spec["podSelector"] and way in spec["policyTypes"] for _, spec in specs):
            yield f"no policy selects all pods for {way.lower()}: pods that none selects are open that way"
    for one, spec in specs:
        for way in ("ingress", "egress"):
            if {} in spec[way]:
                yield f"{one.ref} allows all {way} to what it selects: is that meant for good?"
            elif any(_everywhere(rule.get("from" if way == "ingress" else "to")) for rule in spec[way]):
                yield f"{one.ref} allows {way} for every address or every namespace: is that meant for good?"
    for kind in ("ResourceQuota", "LimitRange"):
        if not any(one.ref.kind == kind for one in others):
            yield f"there is no {kind}"


def _everywhere(peers: object) -> bool:
    for peer in peers if isinstance(peers, list) else ():
        block = peer.get("ipBlock") or {}
        if block.get("cidr") in ("0.0.0.0/0", "::/0"):
            return True
        if peer.get("namespaceSelector") == {}:
            return True
    return False


def _spec(live: Live) -> Body:
    """The canonical spec: defaults are written out."""
    from driftd.policy.kinds import Coverage

    spec: Body = kind_of(live.ref).covered(live.body(), Coverage())["spec"]
    return spec


def _home(home: Live) -> Iterator[str]:
    labels = home.body()["metadata"].get("labels") or {}
    level = labels.get(_POD_SECURITY)
    if level is None:
        yield f"the Namespace says no {_POD_SECURITY}: Pod Security is whatever the API server's default is"
    elif level == "privileged":
        yield "the Namespace admits privileged pods"


def _owners(lives: Sequence[Live]) -> Iterator[str]:
    for one in lives:
        metadata = one.body()["metadata"]
        for owner in metadata.get("ownerReferences") or ():
            yield (
                f"{one.ref} is owned by {owner.get('kind')} {owner.get('name')}: driftd takes the reference away, and "
                "its controller will write against driftd"
            )
        texts = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
        tools = sorted({tool for key, tool in _OWNED_BY_TOOLS.items() if key in texts} | {*_managed_by(texts)})
        if tools:
            yield f"{one.ref} is also managed by {', '.join(tools)}: two who write one object fight; stop the other"


def _managed_by(texts: Body) -> Iterator[str]:
    if texts.get(_MANAGED_BY) in ("Helm", "argocd", "flux"):
        yield {"Helm": "Helm", "argocd": "Argo CD", "flux": "Flux"}[texts[_MANAGED_BY]]


def _coverage(before: Compiled, after: Compiled, namespace: str) -> Iterator[str]:
    for key in sorted(after.coverage.selector_keys - before.coverage.selector_keys):
        yield (
            f"a selector in {namespace} reads the namespace label {key}: that label counts as drift on every governed "
            "namespace from now on"
        )
