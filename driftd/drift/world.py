"""The canonical world as reachability sees it, and what each difference does to it (D5)."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_

from driftd.compile import Compiled, GovernedNamespace, Workload
from driftd.drift.entitled import Input
from driftd.drift.meaning import UNJUDGED, Difference, Judgement
from driftd.drift.pod_security import lowered
from driftd.drift.words import shown
from driftd.policy.kinds import CALICO, KINDS, NAMESPACE_NAME, other_spelling
from driftd.policy.reach import (
    Dialect,
    Edit,
    Pod,
    Ranges,
    Snapshot,
    Surroundings,
    Tenancy,
    align,
    apply,
    block,
    delta,
    judge,
    snapshot_of,
)
from driftd.values import CLUSTER, Body, Direction, FindingType, ObjectRef, scope_of

_NAME_KEYS = ("app.kubernetes.io/name", "app", "k8s-app")
_BORNE = frozenset(
    {("networking.k8s.io", "NetworkPolicy"), ("", "Namespace")}
    | {key for key, kind in KINDS.items() if kind.dialect == "calico"}
)
"""Kinds that decide flows and that this world holds."""


class World:
    """Snapshots of what the model wants, and of that together with everything that differs now. One thread at a time.

    Three states of one cluster: `canonical` has the model's policies, and of what lives only what the model entitles it
    to; `labelled` has the model's policies and all that lives as it is; `standing` has the live policies as well.

    Beside live pods stand the model's own: one for each workload and each selector of its policies, one without labels
    in each namespace, and those that could be made are imagined by the engine. So a direction holds for the model's
    workloads whatever runs today. A pod selector in a namespace that is not governed counts as the whole namespace:
    its owner chooses the labels.
    """

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        self.tenancy = tenancy_of(compiled)
        surroundings = Surroundings(pods=_ranges(compiled.pod_ranges), nodes=_ranges(compiled.node_ranges))
        self._canonical = snapshot_of(
            _objects(compiled), Dialect(compiled.dialect), surroundings, governed=frozenset(compiled.governed)
        )
        self._labelled = self._canonical
        self._standing = self._canonical
        self._open: dict[ObjectRef, Edit] = {}
        self._astray: set[str] = set()
        self._others: dict[ObjectRef, Input] = {}
        self._judged_strays: dict[tuple[int | None, int | None], Judgement] = {}
        self._judged_against: tuple[Snapshot, Snapshot] | None = None
        self.edits = 0
        """Steps taken so far. The engine's caches only grow: renew the world now and then."""

    def renewed(self) -> "World":
        """The same world with empty caches."""
        fresh = World(self._compiled)
        fresh._canonical = align(self._canonical, onto=fresh._canonical)
        fresh._labelled = fresh._standing = align(self._labelled, onto=fresh._canonical)
        fresh._astray, fresh._others = self._astray, self._others
        for ref, edit in self._open.items():
            fresh._stand(ref, edit)
        return fresh

    def observe(self, inputs: Sequence[Input]) -> None:
        """Take in what lives: pods of governed namespaces, service accounts, namespaces whose labels may count."""
        if not inputs:
            return
        wanted, live = (_inputs_edit((one.ref, side(one)) for one in inputs) for side in (_wanted, _live))
        self._canonical = apply(self._canonical, wanted)
        self._labelled = apply(self._labelled, live)
        self._standing = apply(self._standing, live) if self._open else self._labelled
        self.edits += 1
        for one in inputs:
            if one.ref.kind == "Pod":
                continue
            if one.wanted == one.live:
                self._others.pop(one.ref, None)
            else:
                self._others[one.ref] = one
        for namespace in {one.ref.namespace or one.ref.name for one in inputs}:
            mine, theirs = (one.namespaces.get(namespace) for one in (self._canonical, self._labelled))
            differs = (mine.classes if mine else {}) != (theirs.classes if theirs else {})
            (self._astray.add if differs else self._astray.discard)(namespace)

    def stray_pods(self, namespace: str) -> Iterator[tuple[Pod, Judgement]]:
        """Live pods of a namespace that policies tell from what the model entitles them to, and what that does."""
        mine, theirs = (one.namespaces.get(namespace) for one in (self._canonical, self._labelled))
        if namespace not in self._astray or mine is None or theirs is None:
            return
        now = (self._canonical, self._standing)
        if self._judged_against is None or any(a is not b for a, b in zip(now, self._judged_against, strict=True)):
            self._judged_strays, self._judged_against = {}, now
        for name, pod in theirs.pods.items():
            pair = (mine.classes.get(name), theirs.classes.get(name))
            if pair[0] == pair[1]:
                continue
            if pair not in self._judged_strays:
                self._judged_strays[pair] = self._stray(Input(_REF_OF_PODS, mine.pods.get(name), pod))
            yield pod, self._judged_strays[pair]

    def stray_others(self) -> Iterator[tuple[ObjectRef, Judgement]]:
        """The same for service accounts and for namespaces."""
        for ref, one in self._others.items():
            yield ref, self._stray(one)

    def _stray(self, one: Input) -> Judgement:
        """What an input does by itself, and together with the policies that stand open."""
        steps = [(self._canonical, apply(self._canonical, _inputs_edit([(one.ref, one.live)])))]
        if self._open:
            steps.append((apply(self._standing, _inputs_edit([(one.ref, one.wanted)])), self._standing))
        return reduce(worse, (self._between(*step) for step in steps))

    def _between(self, before: Snapshot, after: Snapshot) -> Judgement:
        found = judge(before, after, self.tenancy)
        witness = found.witness
        if witness is not None:  # owners of pods are free text
            witness = replace(witness, source=shown(witness.source), target=shown(witness.target))
        dialect = found.dialect.value
        return Judgement(found.direction, witness, found.crosses_tenant, dialect, found.within, found.neutral_now)

    def judge(self, differences: Iterable[Difference]) -> dict[ObjectRef, Judgement]:
        """What each difference does: alone, and together with all that stand open (a hole may need two of them)."""
        wanted = [one for one in differences if one.type is not FindingType.UNDELETABLE]
        for one in wanted:
            edit = _edit(one)
            if edit is not None:
                self._stand(one.ref, edit)
        return {one.ref: self._judged(one) for one in wanted}

    def opens(self, difference: Difference) -> bool:
        """Have it stand; whether that opens anything between pods that are there. Pods to come are left out."""
        edit = _edit(difference)
        if edit is None:
            return False
        before = self._standing
        self._stand(difference.ref, edit)
        return delta(before, self._standing).direction.may_loosen

    def settle(self, refs: Iterable[ObjectRef]) -> None:
        """These objects are canonical again."""
        for ref in refs:
            if self._open.pop(ref, None) is not None:
                self._standing = apply(self._standing, self._back(ref)) if self._open else self._labelled

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
        if len(self._open) > 1 or self._astray or self._others:
            steps.append((apply(self._standing, self._back(difference.ref)), self._standing))
        found = [own] if own else []
        found += [self._between(before, after) for before, after in steps]
        if _names_a_service(difference):
            found.append(UNJUDGED)
        return reduce(worse, found)

    def _back(self, ref: ObjectRef) -> Edit:
        """The edit that makes an object canonical again."""
        scope = scope_of(ref)
        governed = self._compiled.cluster_wide if scope == CLUSTER else self._compiled.governed.get(scope.namespace)
        objects = governed.objects if governed else {}
        desired = objects.get(ref) or objects.get(other_spelling(ref) or ref)
        if desired is None:
            return Edit(remove=(ref,))
        return Edit(put=(desired.body(),), remove=(ref,) if desired.ref != ref else ())


def _names_a_service(difference: Difference) -> bool:
    """Whether a rule of Calico's goes by what stands behind a Service: whoever writes its slices says who that is.

    This world holds no slices, so such a rule would seem to match nobody.
    """
    rules = [
        rule
        for side in (difference.live, difference.desired)
        if side is not None and difference.ref.group == CALICO
        for flow in ("ingress", "egress")
        for rule in (side.body().get("spec") or {}).get(flow) or ()
    ]
    return any((rule.get(end) or {}).get("services") for rule in rules for end in ("source", "destination"))


def worse(one: Judgement, other: Judgement) -> Judgement:
    """Two judgements of one difference: what any of them opens is open, and the worse one's witness is told."""
    rank = [Direction.NEUTRAL, Direction.TIGHTENS, Direction.MIXED, Direction.LOOSENS, Direction.UNKNOWN]
    both = {one.direction, other.direction}
    worst = max((one, other), key=lambda each: (each.crosses_tenant is not False, rank.index(each.direction)))
    direction = Direction.MIXED if both == {Direction.LOOSENS, Direction.TIGHTENS} else max(both, key=rank.index)
    crosses = None if None in (one.crosses_tenant, other.crosses_tenant) else one.crosses_tenant or other.crosses_tenant
    witness = worst.witness or one.witness or other.witness
    homes = {each.within for each in (one, other) if each.direction.may_loosen}
    within = homes.pop() if len(homes) == 1 else ""
    later = all(each.neutral_now or each.direction is Direction.NEUTRAL for each in (one, other))
    later = later and direction is not Direction.NEUTRAL
    return Judgement(direction, witness, crosses, worst.dialect or one.dialect, within, later)


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
    # A policy that lives under its other spelling stands in for the canonical one: they are not two.
    desired = difference.desired
    return Edit(
        put=(difference.live.body(),),
        remove=(desired.ref,) if desired is not None and desired.ref != difference.ref else (),
    )


def _ranges(cidrs: Iterable[str]) -> Ranges:
    return reduce(or_, (block(cidr) for cidr in cidrs), Ranges(()))


def tenancy_of(compiled: Compiled) -> Tenancy:
    """Whose a namespace is: what stands in one that only one tenant attaches is that tenant's, as far as is known."""
    tenants = {}
    for namespace, workloads in compiled.peers.items():
        owners = {one.tenant for one in workloads}
        tenants[namespace] = owners.pop() if len(owners) == 1 else ""
    tenants |= dict.fromkeys(compiled.platform, "")
    return Tenancy(tenants | {one.name: one.tenant for one in compiled.governed.values()})


_REF_OF_PODS = ObjectRef("", "Pod", "", "")
"""Stands where a pod says itself who it is."""


def _wanted(one: Input) -> Body | Pod | None:
    return one.wanted


def _live(one: Input) -> Body | Pod | None:
    return one.live


def _inputs_edit(sides: Iterable[tuple[ObjectRef, Body | Pod | None]]) -> Edit:
    put: list[Body | Pod] = []
    gone: list[ObjectRef] = []
    for ref, side in sides:
        if side is None:
            gone.append(ref)
        else:
            put.append(side)
    return Edit(put=tuple(put), remove=tuple(gone))


def _objects(compiled: Compiled) -> Iterator[Body | Pod]:
    pods: dict[tuple[str, str], Pod] = {}
    for namespace, workloads in [
        *((one.name, one.workloads) for one in compiled.governed.values()),
        *compiled.peers.items(),
    ]:
        for one in workloads:
            pod = _of_the_model(namespace, one)
            pods[namespace, pod.name] = pod
    for governed in compiled.governed.values():
        pod = _standing_in(governed.name, "any-pod", {})
        pods[governed.name, pod.name] = pod
        for body in _borne(governed):
            yield body
            if body["kind"] == "NetworkPolicy" and body["apiVersion"].startswith("networking.k8s.io/"):
                for pod in _named_pods(governed.name, body):
                    pods.setdefault((pod.namespace, pod.name), pod)
    yield from _borne(compiled.cluster_wide)
    yield from pods.values()


def _borne(governed: GovernedNamespace) -> Iterator[Body]:
    return (one.body() for ref, one in governed.objects.items() if (ref.group, ref.kind) in _BORNE)


def _standing_in(namespace: str, name: str, labels: Mapping[str, str], account: str = "default") -> Pod:
    """A pod that the model speaks of, under a name that no live pod can have."""
    return Pod(namespace, sys.intern(f"{name} (model)"), labels, account, owner=sys.intern(f"Model/{name}"))


def _of_the_model(namespace: str, workload: Workload) -> Pod:
    ports = tuple(((protocol, name), (number,)) for protocol, name, number in workload.ports)
    pod = _standing_in(namespace, workload.name, workload.labels, workload.account or "default")
    return replace(pod, ports=ports)


def _named_pods(namespace: str, policy: Body) -> Iterator[Pod]:
    """A pod for the policy's own selector, and one for each peer that it names in another namespace."""
    spec = policy["spec"]
    own = _labels(spec.get("podSelector"))
    if own:
        stem = policy["metadata"]["name"].removesuffix("-ingress").removesuffix("-egress")
        yield _standing_in(namespace, stem, own)
    for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
        for peer in (*(rule.get("from") or ()), *(rule.get("to") or ())):
            home, labels = _labels(peer.get("namespaceSelector")).get(NAMESPACE_NAME), _labels(peer.get("podSelector"))
            if home and labels:
                name = next((labels[key] for key in _NAME_KEYS if key in labels), "peer")
                yield _standing_in(home, name, labels)


def _labels(selector: Body | None) -> Mapping[str, str]:
    return (selector or {}).get("matchLabels") or {}
