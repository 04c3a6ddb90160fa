"""Was a repair ever the hole? Every state an actor passed through, against what was before and what ought to be."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tests.oracle.bodies import Address, Body, Cluster, namespace_of, on_host_network
from tests.oracle.calico import allowed as allowed_on_calico
from tests.oracle.calico import concerns
from tests.oracle.calico_universe import universe_of as calico_universe_of
from tests.oracle.networkpolicy import is_network_policy
from tests.oracle.port_sets import PortSets
from tests.oracle.replay import NAMESPACES, Key, Record, State, Step
from tests.oracle.universe import (
    Flow,
    Judge,
    Memo,
    Pairs,
    Universe,
    atomic_addresses,
    atomic_ports,
    pairs_by,
    representative_pods,
)
from tests.oracle.worlds import DIALECTS, Allowed, World

NAMESPACED_IN_EFFECT = frozenset({"networkpolicies", "namespaces", "serviceaccounts", "resourcequotas", "limitranges"})


@dataclass(frozen=True)
class Run:
    """Writes of one actor with no foreign write in between; `before` is the state they started from."""

    before: State
    steps: tuple[Step, ...]

    @property
    def namespaces(self) -> frozenset[str] | None:
        """The namespaces that the run's writes touch, None for all. A namespaced policy only ever governs pods of its
        own, and a Namespace's labels only speak for pods in it: other connections cannot have changed.
        """
        changed = {key for step in self.steps for key in step.changed}
        if any(key.resource not in NAMESPACED_IN_EFFECT or not place_of(key) for key in changed):
            return None
        return frozenset(place_of(key) for key in changed)


@dataclass(frozen=True)
class Violation:
    """A connection that was open after `record` although it was closed before the run and ought to be closed."""

    record: Record
    witness: Flow
    others: int

    def __str__(self) -> str:
        return (
            f"after {self.record.verb} {self.record.key} by {self.record.user} at {self.record.done.isoformat()} "
            f"(audit {self.record.id}): {self.witness} was open, and {self.others} more"
        )


def never_looser(
    steps: Iterable[Step],
    canonical: State,
    actor: str,
    *,
    initial: State | None = None,
    pods: Sequence[Body] = (),
    dialect: str = "kubernetes",
    peer_namespaces: int = 6,
) -> list[Violation]:
    """Violations of "in every state, flows are within flows(before the run) or flows(canonical)", in each world.

    `canonical` holds the objects that ought to exist in the namespaces it names; what is outside of those is taken as
    it was before the run. `pods` join the synthetic ones. `peer_namespaces` bounds how many untouched namespaces are
    asked about. Calico's and the admin policies count with dialect "calico" (what may be allowed counts as allowed);
    elsewhere NetworkPolicy alone does.
    """
    found: list[Violation] = []
    for run in runs_of(steps, actor, initial):
        found.extend(_violations(run, _overlaid(canonical, run.before), pods, dialect, peer_namespaces))
    return found


def runs_of(steps: Iterable[Step], actor: str, initial: State | None = None) -> Iterator[Run]:
    """The maximal runs of an actor's commits between foreign ones."""
    before, pending = initial or State(), list[Step]()
    last = before
    for step in steps:
        if step.record.user == actor:
            if not pending:
                before = last
            pending.append(step)
        elif pending:
            yield Run(before, tuple(pending))
            pending = []
        last = step.state
    if pending:
        yield Run(before, tuple(pending))


def place_of(key: Key) -> str:
    """The namespace an object speaks for: a Namespace stands for itself."""
    return key.name if (key.group, key.resource) == NAMESPACES else key.namespace


def universe_for(
    states: Sequence[State], touched: frozenset[str] | None, pods: Sequence[Body], peer_namespaces: int
) -> Universe:
    """Endpoints in the touched namespaces and in a few others, all addresses and ports their policies tell apart."""
    clusters = [state.cluster() for state in states]
    names = {place_of(key) for state in states for key in state.objects} - {""}
    if touched is None:
        touched = frozenset(sorted(names)[:peer_namespaces])
    others = sorted(names - touched)[:peer_namespaces]
    where = {*touched, *others}
    policies: list[Body] = []
    for cluster in clusters:
        policies.extend(body for body in cluster.policies if _in_sight(body, where) and body not in policies)
    kept = [pod for pod in pods if namespace_of(pod) in where]
    if not all(is_network_policy(body) for body in policies):
        rest = [body for cluster in clusters for body in cluster.others]
        found = calico_universe_of(policies, rest, where, limit=4)
        return Universe((*kept, *found.endpoints), found.ports)
    synthetic = [
        *representative_pods(policies, sorted(touched), limit=10),
        *representative_pods(policies, others, limit=4),
    ]
    everybody = [*kept, *synthetic]
    return Universe((*everybody, *atomic_addresses(policies)), atomic_ports(policies, everybody))


def _in_sight(policy: Body, where: set[str]) -> bool:
    return "namespace" not in policy["metadata"] or namespace_of(policy) in where


def _violations(
    run: Run, canonical: State, pods: Sequence[Body], dialect: str, peer_namespaces: int
) -> Iterator[Violation]:
    states = [run.before, canonical, *(step.state for step in run.steps)]
    universe = universe_for(states, run.namespaces, pods, peer_namespaces)
    live = [endpoint for endpoint in universe.endpoints if isinstance(endpoint, dict)]
    tiered = dialect == "calico" and not all(
        is_network_policy(body) for one in states for body in one.cluster().policies
    )
    asked: list[Callable[[Cluster, frozenset[str] | None], Pairs]] = (
        [partial(_on_calico, universe, {})]
        if tiered
        else [PortSets(world, universe).open_in for world in _worlds(dialect, live)]
    )
    where = run.namespaces
    entitled = [(ask(run.before.cluster(live), where), ask(canonical.cluster(live), where)) for ask in asked]
    for step in run.steps:
        # Other connections are as they were in the state before, which has been looked at.
        touching = None if where is None else frozenset(place_of(key) for key in step.changed)
        for ask, fine in zip(asked, entitled, strict=True):
            excess = list(_excess(ask(step.state.cluster(live), touching), *fine))
            if excess:
                yield Violation(step.record, min(excess), len(excess) - 1)
                break


def _excess(found: Pairs, *entitled: Pairs) -> Iterator[Flow]:
    """What is open in one state and in none of the others."""
    for pair, ports in found.items():
        yield from (Flow(*pair, *port) for port in ports.difference(*(one.get(pair, ()) for one in entitled)))


def _on_calico(universe: Universe, memo: Memo, cluster: Cluster, touching: frozenset[str] | None) -> Pairs:
    return pairs_by(CALICO, cluster, universe, touching, memo)


def _may_on_calico(cluster: Cluster, one: Body | Address, other: Body | Address, port: tuple[str, int]) -> bool:
    return allowed_on_calico(cluster, one, other, *port) is not Allowed.NO


CALICO = Judge(concerns, _may_on_calico)


def _overlaid(canonical: State, before: State) -> State:
    """What ought to be: the canonical objects in their namespaces, everything else as it was."""
    governed = {place_of(key) for key in canonical.objects}
    kept = {
        key: body
        for key, body in before.objects.items()
        if place_of(key) not in governed or ((key.group, key.resource) == NAMESPACES and key not in canonical.objects)
    }
    return State({**kept, **canonical.objects})


def _worlds(dialect: str, pods: Sequence[Body]) -> list[World]:
    """The worlds that can differ at all: without host-network pods the question about them is moot."""
    if any(on_host_network(pod) for pod in pods):
        return list(DIALECTS[dialect])
    return sorted({replace(world, host_network_is_node=True) for world in DIALECTS[dialect]}, key=repr)
