"""Was a repair ever the hole? Every state an actor passed through, against what was before and what ought to be."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

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
    asked about, those first that are not as they ought to be. Calico's and the admin policies count with dialect
    "calico" (what may be allowed counts as allowed); elsewhere NetworkPolicy alone does.

    A run whose states are, in all that is in sight of it, those of one that was found fine is not asked about again:
    who tampers with a hundred objects all day is undone in thousands of runs, most of them alike.
    """
    found: list[Violation] = []
    texts, fine = _Texts(), set[object]()
    for run in runs_of(steps, actor, initial):
        states = [run.before, _overlaid(canonical, run.before), *(step.state for step in run.steps)]
        sight = _sight(run, states, peer_namespaces)
        question = (sight, *map(_touched_by, run.steps), *(texts.of(state, sight) for state in states))
        if question in fine:
            continue
        violations = list(_violations(run, states, universe_for(states, sight, pods), dialect))
        if not violations:
            fine.add(question)
        found.extend(violations)
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


@dataclass(frozen=True)
class Sight:
    """The namespaces that a run is asked about: those it touches, and a few others."""

    touched: tuple[str, ...]
    others: tuple[str, ...]

    @cached_property
    def all(self) -> frozenset[str]:
        return frozenset((*self.touched, *self.others))


def _sight(run: Run, states: Sequence[State], peers: int) -> Sight:
    names = {place_of(key) for state in states for key in state.objects} - {""}
    touched = run.namespaces if run.namespaces is not None else frozenset(sorted(names)[:peers])
    # A hole may need two halves: what is wrong elsewhere just now is where the other one would be.
    before, canonical = states[:2]
    wrong = {
        place_of(key)
        for key in before.objects.keys() | canonical.objects.keys()
        if (before.objects.get(key) or {}).get("spec") != (canonical.objects.get(key) or {}).get("spec")
        and (key.group, key.resource) != NAMESPACES
    }
    others = sorted(names - touched, key=lambda name: (name not in wrong, name))[:peers]
    return Sight(tuple(sorted(touched)), tuple(sorted(others)))


class _Texts:
    """States as text, as far as an oracle can read them: what a write renews in metadata is left out."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Body, str]] = {}  # holds the bodies, so that no id is given twice

    def of(self, state: State, sight: Sight) -> frozenset[tuple[Key, str]]:
        return frozenset(
            (key, self._text(body))
            for key, body in state.objects.items()
            if key.resource not in NAMESPACED_IN_EFFECT or place_of(key) in sight.all
        )

    def _text(self, body: Body) -> str:
        known = self._known.get(id(body))
        if known is None:
            kept = {key: body["metadata"].get(key) for key in ("name", "namespace", "labels")}
            rest = {key: value for key, value in body.items() if key not in ("metadata", "status")}
            known = self._known[id(body)] = (body, repr((kept, sorted(rest.items()))))
        return known[1]


def universe_for(states: Sequence[State], sight: Sight, pods: Sequence[Body]) -> Universe:
    """Endpoints in the namespaces in sight, all addresses and ports their policies tell apart."""
    clusters = [state.cluster() for state in states]
    where = sight.all
    every = [body for cluster in clusters for body in cluster.policies if _in_sight(body, where)]
    policies = list({_identity(body): body for body in every}.values())
    kept = [pod for pod in pods if namespace_of(pod) in where]
    if not all(is_network_policy(body) for body in policies):
        rest = [body for cluster in clusters for body in cluster.others]
        found = calico_universe_of(policies, rest, where, limit=4)
        return Universe((*kept, *found.endpoints), found.ports)
    synthetic = [
        *representative_pods(policies, sight.touched, limit=10),
        *representative_pods(policies, sight.others, limit=4),
    ]
    everybody = [*kept, *synthetic]
    return Universe((*everybody, *atomic_addresses(policies)), atomic_ports(policies, everybody))


def _identity(policy: Body) -> str:
    metadata = policy["metadata"]
    return repr(
        (policy.get("apiVersion"), policy.get("kind"), metadata.get("namespace"), metadata["name"], policy["spec"])
    )


def _in_sight(policy: Body, where: frozenset[str]) -> bool:
    return "namespace" not in policy["metadata"] or namespace_of(policy) in where


def _touched_by(step: Step) -> frozenset[str]:
    return frozenset(place_of(key) for key in step.changed)


def _violations(run: Run, states: Sequence[State], universe: Universe, dialect: str) -> Iterator[Violation]:
    before, canonical = states[:2]
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
    entitled = [(ask(before.cluster(live), where), ask(canonical.cluster(live), where)) for ask in asked]
    for step in run.steps:
        # Other connections are as they were in the state before, which has been looked at.
        touching = None if where is None else _touched_by(step)
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
