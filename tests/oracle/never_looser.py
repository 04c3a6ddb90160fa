"""Was a repair ever the hole? Every state an actor passed through, against what was before and what ought to be."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

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
    def states(self) -> list[State]:
        """The one before, and the one after each write."""
        return [self.before, *(step.state for step in self.steps)]

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
    asked about, those first that are not as they ought to be. Calico's and the admin policies count with dialect
    "calico" (what may be allowed counts as allowed); elsewhere NetworkPolicy alone does.
    """
    runs = list(runs_of(steps, actor, initial))
    if dialect == "calico" and any(_is_tiered(body) for run in runs for body in _bodies(run.states)):
        return [
            found
            for run in runs
            for universe in [calico_universe_for(run, canonical, pods, peer_namespaces)]
            for found in _violations_on_calico(run, canonical, universe)
        ]
    universe = universe_for(runs, canonical, pods, peer_namespaces)
    worlds = [PortSets(world, universe) for world in worlds_of(dialect, universe)]
    return [found for run in runs for found in _violations(run, canonical, universe, worlds)]


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


@dataclass(frozen=True)
class Sight:
    """The namespaces that are asked about: those that are touched, and a few others."""

    touched: tuple[str, ...]
    others: tuple[str, ...]

    @cached_property
    def all(self) -> frozenset[str]:
        return frozenset((*self.touched, *self.others))


def sight_of(runs: Sequence[Run], canonical: State, peers: int) -> Sight:
    """Where a hole could be that these runs made."""
    states = [canonical, *(state for run in runs for state in run.states)]
    names = {place_of(key) for state in states for key in state.objects} - {""}
    touched: set[str] = set()
    for run in runs:
        touched |= run.namespaces if run.namespaces is not None else set(sorted(names)[:peers])
    # A hole may need two halves: what is wrong elsewhere just now is where the other one would be.
    wrong = {place for run in runs for place in _wrong(run.before, overlaid(canonical, run.before))}
    others = sorted(names - touched, key=lambda name: (name not in wrong, name))[:peers]
    return Sight(tuple(sorted(touched)), tuple(sorted(others)))


def _wrong(before: State, canonical: State) -> Iterator[str]:
    for key in before.objects.keys() | canonical.objects.keys():
        here, right = before.objects.get(key), canonical.objects.get(key)
        if (here or {}).get("spec") != (right or {}).get("spec") and (key.group, key.resource) != NAMESPACES:
            yield place_of(key)


def universe_for(runs: Sequence[Run], canonical: State, pods: Sequence[Body], peers: int) -> Universe:
    """One for a whole history: endpoints in the namespaces in sight, every address and port some policy tells apart.

    So states are comparable with each other, and what is known of one counts for all that are alike.
    """
    sight = sight_of(runs, canonical, peers)
    policies = _policies([canonical, *(state for run in runs for state in run.states)], sight)
    policies = [body for body in policies if is_network_policy(body)]
    synthetic = [
        *representative_pods(policies, sight.touched, limit=16),
        *representative_pods(policies, sight.others, limit=4),
    ]
    everybody = [*(pod for pod in pods if namespace_of(pod) in sight.all), *synthetic]
    return Universe((*everybody, *atomic_addresses(policies)), atomic_ports(policies, everybody))


def calico_universe_for(run: Run, canonical: State, pods: Sequence[Body], peers: int) -> Universe:
    """One for a run: who asks port by port cannot ask for much."""
    sight = sight_of([run], canonical, peers)
    states = [overlaid(canonical, run.before), *run.states]
    rest = [body for state in states for body in state.cluster().others]
    found = calico_universe_of(_policies(states, sight), rest, sight.all, limit=4)
    return Universe((*(pod for pod in pods if namespace_of(pod) in sight.all), *found.endpoints), found.ports)


def _policies(states: Iterable[State], sight: Sight) -> list[Body]:
    """Each policy in sight as each state has it, alike ones once."""
    every = (body for body in _bodies(states) if _is_policy(body) and _in_sight(body, sight.all))
    return list({_identity(body): body for body in every}.values())


def _identity(policy: Body) -> str:
    metadata = policy["metadata"]
    return repr(
        (policy.get("apiVersion"), policy.get("kind"), metadata.get("namespace"), metadata["name"], policy["spec"])
    )


def _bodies(states: Iterable[State]) -> Iterator[Body]:
    """What the states hold, each body once."""
    return iter({id(body): body for state in states for body in state.objects.values()}.values())


def _is_policy(body: Body) -> bool:
    return str(body.get("kind", "NetworkPolicy")).endswith("Policy")


def _is_tiered(body: Body) -> bool:
    return _is_policy(body) and not is_network_policy(body)


def _in_sight(policy: Body, where: frozenset[str]) -> bool:
    return "namespace" not in policy["metadata"] or namespace_of(policy) in where


def _violations(run: Run, canonical: State, universe: Universe, worlds: Sequence[PortSets]) -> Iterator[Violation]:
    live = [endpoint for endpoint in universe.endpoints if isinstance(endpoint, dict)]
    before, right = run.before.cluster(live), overlaid(canonical, run.before).cluster(live)
    for step in run.steps:
        now = step.state.cluster(live)
        yield from _found(step, (world.opened(now, before, right) for world in worlds))


def _violations_on_calico(run: Run, canonical: State, universe: Universe) -> Iterator[Violation]:
    live = [endpoint for endpoint in universe.endpoints if isinstance(endpoint, dict)]
    memo: Memo = {}
    states = (run.before, overlaid(canonical, run.before))
    entitled = [pairs_by(CALICO, state.cluster(live), universe, run.namespaces, memo) for state in states]
    for step in run.steps:
        # Other connections are as they were in the state before, which has been looked at.
        touching = None if run.namespaces is None else frozenset(place_of(key) for key in step.changed)
        found = pairs_by(CALICO, step.state.cluster(live), universe, touching, memo)
        more = {pair: ports.difference(*(one.get(pair, ()) for one in entitled)) for pair, ports in found.items()}
        yield from _found(step, [more])


def _found(step: Step, worlds: Iterable[Pairs]) -> Iterator[Violation]:
    """A violation where more is open in some world; of the first such world it tells."""
    for opened in worlds:
        flows = [Flow(*pair, *port) for pair, ports in opened.items() for port in ports]
        if flows:
            yield Violation(step.record, min(flows), len(flows) - 1)
            return


def _may_on_calico(cluster: Cluster, one: Body | Address, other: Body | Address, port: tuple[str, int]) -> bool:
    return allowed_on_calico(cluster, one, other, *port) is not Allowed.NO


CALICO = Judge(concerns, _may_on_calico)


def overlaid(canonical: State, before: State) -> State:
    """What ought to be: the canonical objects in their namespaces, everything else as it was."""
    governed = {place_of(key) for key in canonical.objects}
    kept = {
        key: body
        for key, body in before.objects.items()
        if place_of(key) not in governed or ((key.group, key.resource) == NAMESPACES and key not in canonical.objects)
    }
    return State({**kept, **canonical.objects})


def worlds_of(dialect: str, universe: Universe) -> list[World]:
    """The worlds that can differ at all: without host-network pods the question about them is moot."""
    if any(isinstance(one, dict) and on_host_network(one) for one in universe.endpoints):
        return list(DIALECTS[dialect])
    return sorted({replace(world, host_network_is_node=True) for world in DIALECTS[dialect]}, key=repr)
