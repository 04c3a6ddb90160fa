"""What is known of live workloads at one moment, what has changed until then, and what came of judging it."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from driftd.cluster import Name
from driftd.compile import Compiled
from driftd.drift import LiveService, LiveSlice, concealed, exposed, misdirected, unkept
from driftd.policy.reach import Pod
from driftd.values import CLUSTER, Finding, Live, ObjectRef, Resource, Scope

MOST_HELD: Final = 60
"""Findings of a type that are held open in a namespace of which not all is kept."""


@dataclass(slots=True)
class Changes:
    """What has changed since the last judgement."""

    everything: bool = True
    sets: bool = False
    admins: bool = False
    pods: set[Name] = field(default_factory=set)
    labelled: set[ObjectRef] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Living:
    """A copy of what is known, for the thread. `at` is the monotonic second of the copy.

    `labelled` has every object whose labels may count, and those that changed; None for those gone. `beyond`: kinds and
    namespaces of which not all is kept. `open`: ids of the findings that are open.
    """

    compiled: Compiled
    changes: Changes
    pods: Mapping[Name, Pod]
    services: tuple[LiveService, ...]
    slices: tuple[LiveSlice, ...]
    labelled: Mapping[ObjectRef, Live | None]
    sets: Mapping[ObjectRef, Live]
    beyond: frozenset[tuple[Resource, str]]
    open: frozenset[str]
    at: float


def by_shape(live: Living) -> Iterator[Finding]:
    """Findings that need no reachability; that not all is known comes before how much is not told."""
    yield from unkept(live.compiled, ((resource.kind, namespace) for resource, namespace in live.beyond))
    yield from exposed(live.compiled, live.services, live.pods, live.open)
    yield from misdirected(live.compiled, live.slices, live.pods, live.open)


def held_open(live: Living, told: Iterable[Finding], held: Collection[str]) -> Iterator[Finding]:
    """What was told of namespaces of which not all is kept, and may stand though nothing that is kept shows it now.

    What is kept is known: nothing about that is held. Those held before (`held`, ids) come first, and there is a bound:
    who makes and deletes decoys has no more open with every round, and ends nothing with them.
    """
    hidden = concealed((resource.kind, namespace) for resource, namespace in live.beyond)
    if not hidden:
        return
    names = {namespace for _, namespace in hidden}
    kept = {("Service", one.namespace, one.name) for one in live.services if one.namespace in names}
    kept |= {("EndpointSlice", one.namespace, one.name) for one in live.slices if one.namespace in names}
    kept |= {("Pod", *name) for name in live.pods if name[0] in names}
    kept |= {(ref.kind, ref.namespace, ref.name) for ref, one in live.labelled.items() if one is not None}
    count: Counter[tuple[str, str]] = Counter()
    for one in sorted(told, key=lambda one: one.id not in held):
        ref, here = one.ref, (one.type, one.ref.namespace)
        scope = Scope(ref.namespace) if ref.namespace in live.compiled.governed else CLUSTER
        if here not in hidden or (ref.kind, ref.namespace, ref.name) in kept or one.scope != scope:
            continue
        count[here] += 1
        if count[here] <= MOST_HELD:
            yield one


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
