"""The canonical world as reachability sees it, and what each difference does to it (D5)."""

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from operator import or_

from driftd.compile import Compiled, GovernedNamespace
from driftd.drift.meaning import Difference, Judgement
from driftd.drift.pod_security import lowered
from driftd.policy.kinds import NAMESPACE_NAME
from driftd.policy.reach import (
    Dialect,
    Edit,
    Pod,
    Ranges,
    Surroundings,
    Tenancy,
    apply,
    block,
    judge,
    snapshot_of,
)
from driftd.values import Body, Direction, FindingType, ObjectRef

_NAME_KEYS = ("app.kubernetes.io/name", "app", "k8s-app")
_BORNE = frozenset({("networking.k8s.io", "NetworkPolicy"), ("", "Namespace")})
"""Kinds that decide flows and that this world holds."""


class World:
    """Snapshots of what the model wants, and of that together with everything that differs now. One thread at a time.

    Pods are the model's own: one for each selector of its policies, one without labels in each namespace, and those
    that could be made are imagined by the engine. So a direction holds for the model's workloads whatever runs today.
    A pod selector in a namespace that is not governed counts as the whole namespace: its owner chooses the labels.
    """

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        tenants = dict.fromkeys(compiled.platform, "") | {one.name: one.tenant for one in compiled.governed.values()}
        self._tenancy = Tenancy(tenants)
        surroundings = Surroundings(pods=_ranges(compiled.pod_ranges), nodes=_ranges(compiled.node_ranges))
        self._canonical = snapshot_of(
            _objects(compiled), Dialect(compiled.dialect), surroundings, governed=frozenset(compiled.governed)
        )
        self._standing = self._canonical
        self._open: dict[ObjectRef, Edit] = {}
        self.edits = 0
        """Steps taken so far. The engine's caches only grow: renew the world now and then."""

    def renewed(self) -> "World":
        """The same world with empty caches."""
        fresh = World(self._compiled)
        for ref, edit in self._open.items():
            fresh._stand(ref, edit)
        return fresh

    def judge(self, differences: Iterable[Difference]) -> dict[ObjectRef, Judgement]:
        """What each difference does: alone, and together with all that stand open (a hole may need two of them)."""
        wanted = [one for one in differences if one.type is not FindingType.UNDELETABLE]
        for one in wanted:
            edit = _edit(one)
            if edit is not None:
                self._stand(one.ref, edit)
        return {one.ref: self._judged(one) for one in wanted}

    def settle(self, refs: Iterable[ObjectRef]) -> None:
        """These objects are canonical again."""
        for ref in refs:
            if self._open.pop(ref, None) is not None:
                self._standing = apply(self._standing, self._back(ref))

    def _stand(self, ref: ObjectRef, edit: Edit) -> None:
        self._open[ref] = edit
        self._standing = apply(self._standing, edit)
        self.edits += 1

    def _judged(self, difference: Difference) -> Judgement:
        own = _own_meaning(difference)
        edit = self._open.get(difference.ref)
        if edit is None:
            return own or Judgement(Direction.NEUTRAL, crosses_tenant=False, dialect=self._compiled.dialect)
        steps = [(self._canonical, apply(self._canonical, edit))]
        if len(self._open) > 1:
            steps.append((apply(self._standing, self._back(difference.ref)), self._standing))
        found = [own] if own else []
        for before, after in steps:
            one = judge(before, after, self._tenancy)
            found.append(Judgement(one.direction, one.witness, one.crosses_tenant, one.dialect.value))
        return reduce(_worse, found)

    def _back(self, ref: ObjectRef) -> Edit:
        """The edit that makes an object canonical again."""
        namespace = ref.name if ref.kind == "Namespace" else ref.namespace
        governed = self._compiled.governed.get(namespace)
        desired = governed.objects.get(ref) if governed else None
        return Edit(put=(desired.body(),)) if desired else Edit(remove=(ref,))


def _worse(one: Judgement, other: Judgement) -> Judgement:
    """Two judgements of one difference: what any of them opens is open, and the worse one's witness is told."""
    rank = [Direction.NEUTRAL, Direction.TIGHTENS, Direction.MIXED, Direction.LOOSENS, Direction.UNKNOWN]
    both = {one.direction, other.direction}
    worst = max((one, other), key=lambda each: (each.crosses_tenant is not False, rank.index(each.direction)))
    direction = Direction.MIXED if both == {Direction.LOOSENS, Direction.TIGHTENS} else max(both, key=rank.index)
    crosses = None if None in (one.crosses_tenant, other.crosses_tenant) else one.crosses_tenant or other.crosses_tenant
    return Judgement(direction, worst.witness or one.witness or other.witness, crosses, worst.dialect or one.dialect)


def _own_meaning(difference: Difference) -> Judgement | None:
    """What no flow shows: pods that may leave the network's rules, and tokens that open the API server."""
    live, desired = difference.live, difference.desired
    if live is None or desired is None:
        return None
    if difference.ref.kind == "Namespace":
        return lowered(desired.body(), live.body())
    if difference.ref.kind == "ServiceAccount":
        wanted, now = (body.get("automountServiceAccountToken") for body in (desired.body(), live.body()))
        if wanted is False and now is not False:
            return Judgement(Direction.LOOSENS, crosses_tenant=False)
    return None


def _edit(difference: Difference) -> Edit | None:
    """The step from canonical to live; None for kinds that decide no flow."""
    if (difference.ref.group, difference.ref.kind) not in _BORNE:
        return None
    if difference.live is None or difference.type is FindingType.TERMINATING:
        return Edit(remove=(difference.ref,))
    return Edit(put=(difference.live.body(),))


def _ranges(cidrs: Iterable[str]) -> Ranges:
    return reduce(or_, (block(cidr) for cidr in cidrs), Ranges(()))


def _objects(compiled: Compiled) -> Iterator[Body | Pod]:
    pods: dict[tuple[str, str], Pod] = {}
    for governed in compiled.governed.values():
        pods[governed.name, "any-pod"] = Pod(governed.name, "any-pod", {})
        for body in _borne(governed):
            yield body
            if body["kind"] == "NetworkPolicy":
                for pod in _named_pods(governed.name, body):
                    pods.setdefault((pod.namespace, pod.name), pod)
    yield from pods.values()


def _borne(governed: GovernedNamespace) -> Iterator[Body]:
    return (one.body() for ref, one in governed.objects.items() if (ref.group, ref.kind) in _BORNE)


def _named_pods(namespace: str, policy: Body) -> Iterator[Pod]:
    """A pod for the policy's own selector, and one for each peer that it names in another namespace."""
    spec = policy["spec"]
    own = _labels(spec.get("podSelector"))
    if own:
        stem = policy["metadata"]["name"].removesuffix("-ingress").removesuffix("-egress")
        yield Pod(namespace, stem, own)
    for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
        for peer in (*(rule.get("from") or ()), *(rule.get("to") or ())):
            home, labels = _labels(peer.get("namespaceSelector")).get(NAMESPACE_NAME), _labels(peer.get("podSelector"))
            if home and labels:
                yield Pod(home, next((labels[key] for key in _NAME_KEYS if key in labels), "peer"), labels)


def _labels(selector: Body | None) -> Mapping[str, str]:
    return (selector or {}).get("matchLabels") or {}
