"""What is known of live workloads at one moment, what has changed until then, and what came of judging it."""

from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, TypeAlias

from driftd.cluster import WORKLOADS, Name
from driftd.compile import Compiled
from driftd.drift import Candidate, LiveService, LiveSlice, exposed, misdirected, owners_of, sort_of, told, unkept
from driftd.policy.reach import Pod
from driftd.values import CLUSTER, Finding, FindingType, Live, ObjectRef, Resource, Scope

MOST_NAMES: Final = 20_000
"""Names that are remembered of objects that changed, beyond which all are looked at, and of those that are gone."""

Known: TypeAlias = tuple[str, str, str]
"""Kind, namespace and name of a pod, Service, EndpointSlice or ServiceAccount."""


class Gone:
    """Names of objects of which the deletion was told last, and so is proof; not that they are there, kept or not.

    A name holds for as long as that is so, whether all objects of its namespace are kept or not: what is open, or was
    left open by another leader, may be looked at much later. With too many names whoever has most loses the oldest.
    """

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most = most
        self._names: dict[tuple[str, str], dict[str, None]] = {}
        self._count = 0

    def __contains__(self, known: Known) -> bool:
        return known[2] in self._names.get(known[:2], ())

    def __len__(self) -> int:
        return self._count

    def last_told(self, known: Known, *, gone: bool) -> None:
        """Whether an object is gone."""
        if (known in self) is gone:
            return
        names = self._names.setdefault(known[:2], {})
        if gone:
            names[known[2]] = None
        else:
            del names[known[2]]
        self._count += 1 if gone else -1
        if not names:
            del self._names[known[:2]]
        if self._count > self._most:
            self._forget_oldest()

    def forget(self, kind: str, namespace: str) -> None:
        """Nothing of that kind is known to be gone there any more."""
        self._count -= len(self._names.pop((kind, namespace), ()))

    def _forget_oldest(self) -> None:
        """Half of those of whoever has most, so that it is seldom looked for."""
        names = max(self._names.values(), key=len)
        for name in tuple(names)[: (len(names) + 1) // 2]:
            del names[name]
            self._count -= 1


@dataclass(slots=True)
class Changes:
    """What has changed since the last judgement."""

    everything: bool = True
    sets: bool = False
    admins: bool = False
    pods: set[Name] = field(default_factory=set)
    labelled: set[ObjectRef] = field(default_factory=set)
    most: int = MOST_NAMES

    def pod(self, name: Name) -> None:
        """A pod is not what it was; without a name, any of that namespace."""
        if not self.everything and self._has_room(self.pods):
            self.pods.add(name)

    def label(self, ref: ObjectRef) -> None:
        """The labels of an object are not what they were."""
        if not self.everything and self._has_room(self.labelled):
            self.labelled.add(ref)

    def again(self, failed: "Changes") -> None:
        """What was to be judged with these was not: everything is, and what may be in the world is not forgotten."""
        self.everything = True
        self.pods |= failed.pods
        self.labelled |= failed.labelled

    def _has_room(self, names: Sized) -> bool:
        if len(names) < self.most:
            return True
        self.everything = True
        self.pods.clear()
        self.labelled.clear()
        return False


@dataclass(frozen=True, slots=True)
class Living:
    """A copy of what is known, for the thread. `at` is the monotonic second of the copy.

    `labelled` has every object whose labels may count, and those that changed; None for those gone. `beyond`: kinds and
    namespaces of which not all is kept. `open`: findings by id that are open and not known to be over.
    """

    compiled: Compiled
    changes: Changes
    pods: Mapping[Name, Pod]
    services: tuple[LiveService, ...]
    slices: tuple[LiveSlice, ...]
    labelled: Mapping[ObjectRef, Live | None]
    sets: Mapping[ObjectRef, Live]
    beyond: frozenset[tuple[Resource, str]]
    open: Mapping[str, Finding]
    at: float


class Unseen:
    """Which findings may stand although nothing that is kept shows them, or shows them as bad as they were.

    A finding rests on objects, and is over (or milder) once it is known of each that it no longer gives rise to it:

    * the object that it names: where that is kept it is judged as it is, and once it is known to be `Gone` its finding
      is not among those that are open. One that is not kept while not all of its kind is kept there may be as it was.
      What is said of a Deployment or another owner rests on all its pods, of which nobody knows how many there are: it
      is over once all pods there are kept;
    * for an EndpointSlice also the pods of the namespace that it was found to lead to: while not all of them are kept
      it leads there still, unless no address is left in it that is nobody's;
    * for what Calico's rules make of a Service or a slice (`served`), all pods, Services and slices of its namespace.
    """

    def __init__(self, live: Living) -> None:
        self._live = live
        self._beyond = {(resource.kind, namespace) for resource, namespace in live.beyond}

    def __call__(self, finding: Finding) -> bool:
        """Whether this open finding may stand."""
        ref, live = finding.ref, self._live
        scope = Scope(ref.namespace) if ref.namespace in live.compiled.governed else CLUSTER
        if not self._beyond or finding.scope != scope:
            return False
        known = (ref.kind, ref.namespace, ref.name)
        if known not in self._kept:
            return (sort_of(ref), ref.namespace) in self._beyond
        return finding.type is FindingType.MISDIRECTED and self._may_lead_astray(finding)

    def _may_lead_astray(self, finding: Finding) -> bool:
        """The same of a Service or a slice that is kept."""
        ref, live = finding.ref, self._live
        one = self._slices.get((ref.namespace, ref.name)) if ref.kind == "EndpointSlice" else None
        if one is not None and not one.addresses and not one.more:
            return False
        of_rules = live.compiled.dialect == "calico"
        if of_rules and any((kind.kind, ref.namespace) in self._beyond for kind in WORKLOADS):
            return True
        target = finding.witness.target.partition("/")[0] if finding.witness else ""
        if one is None or ("Pod", target) not in self._beyond:
            return False
        return any(address not in self._owners for address in one.addresses)

    @cached_property
    def _slices(self) -> Mapping[Name, LiveSlice]:
        return {(one.namespace, one.name): one for one in self._live.slices}

    @cached_property
    def _owners(self) -> Mapping[str, Pod]:
        return owners_of(self._live.pods)

    @cached_property
    def _kept(self) -> set[Known]:
        """What is kept where not all is: elsewhere nothing can be unseen but pods that a slice leads to."""
        live = self._live
        kept = {("Service", one.namespace, one.name) for one in live.services}
        kept |= {("EndpointSlice", one.namespace, one.name) for one in live.slices}
        kept |= {("Pod", *name) for name in live.pods if ("Pod", name[0]) in self._beyond}
        return kept | {(ref.kind, ref.namespace, ref.name) for ref, one in live.labelled.items() if one is not None}


def by_shape(live: Living, unseen: Unseen, found: Iterable[Finding] = ()) -> Iterator[Finding]:
    """What needs no reachability, and beside it what was found by effect of all but pods.

    That not all is known comes before how much is not told.
    """
    model = live.compiled
    yield from unkept(model, ((resource.kind, namespace) for resource, namespace in live.beyond))
    shapes = (*exposed(model, live.services, live.pods), *misdirected(model, live.slices, live.pods))
    open_ = {id: one for id, one in live.open.items() if not _is_of_pods(one)}
    yield from told(model, (*map(Candidate.of, found), *shapes), open_, unseen)


def of_pods(live: Living, unseen: Unseen, found: Mapping[str, Iterable[Finding]]) -> dict[str, tuple[Finding, ...]]:
    """What is told of pods and their owners, by namespace."""
    open_: dict[str, dict[str, Finding]] = {}
    for id, one in live.open.items():
        if _is_of_pods(one):
            open_.setdefault(one.ref.namespace, {})[id] = one
    return {
        namespace: tuple(told(live.compiled, map(Candidate.of, here), open_.get(namespace, {}), unseen))
        for namespace, here in found.items()
    }


def _is_of_pods(finding: Finding) -> bool:
    return finding.type is FindingType.RELABELLED and sort_of(finding.ref) == "Pod"


@dataclass(frozen=True, slots=True)
class Judged:
    """Findings of the namespaces that were looked at, and of all else.

    `surroundings`: what Calico's rules refer to, wherever it is, is not what it was before, or admin policies are not.
    `relabelled`: so are labels that are nobody's drift: the platform's, and those that admin policies read of others.
    """

    namespaces: Mapping[str, tuple[Finding, ...]]
    others: tuple[Finding, ...]
    surroundings: bool = False
    relabelled: bool = False
