"""Whether the engine and the naive evaluator say the same of a case: its cells, its difference, its direction."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from itertools import product
from random import Random

from driftd.policy.reach import (
    Answer,
    Connection,
    Delta,
    Flows,
    Pod,
    PortSet,
    Snapshot,
    delta,
    explain,
    pod_from_body,
    port_set,
)
from driftd.policy.reach.addresses import V6_BASE
from driftd.policy.reach.endpoints import Outside
from driftd.policy.reach.ports import NONE
from driftd.policy.reach.relation import positions
from driftd.values import Direction
from tests.campaign.search.cases import Case
from tests.campaign.search.pods import Shape
from tests.oracle import admin_policies, calico, networkpolicy
from tests.oracle.bodies import Body, Cluster
from tests.oracle.mentions import address_atoms, port_atoms
from tests.oracle.worlds import Allowed
from tests.support.reach import snapshot, stepped

CELLS = 10
"""Cells asked about in each of the two clusters, drawn from all of them."""
EXPLAINED = 1
"""So many of them are explained as well."""
_FEW = 4
"""Addresses that stand for all of them where every pair is looked at."""
End = Pod | str
_NODES = "192.168.0."


class DisagreementError(AssertionError):
    """The engine and the naive evaluator differ: the message says about what."""


def check(case: Case, cells: int = CELLS) -> None:
    """Hold the engine against the naive evaluator. Raises DisagreementError."""
    before = snapshot(case.before, case.shape.dialect)
    before.settled()  # so that an edit meets verdicts that are known, as in a daemon that has run for long
    after = stepped(before, case.before, case.after)
    for when, cluster, state in (("before", case.before, before), ("after", case.after, after)):
        for number, (one, other, protocol, port) in enumerate(_questions(case.steps, cluster, cells)):
            try:
                _check_cell(case.shape, cluster, state, (one, other), (protocol, port))
            except DisagreementError as problem:
                raise DisagreementError(f"{when} the edit, {problem}") from None
            if number < EXPLAINED:
                _check_explanation(state, (one, other), (protocol, port))
    _check_rebuilt(case, after)
    found = delta(before, after)
    _check_delta(case, before, found)
    back = delta(after, before)
    if (back.added.pairs(), back.removed.pairs()) != (found.removed.pairs(), found.added.pairs()):
        raise DisagreementError("the delta backwards is not the mirror of the delta forwards")


# -- cells ---------------------------------------------------------------------------------------------------------


def _check_cell(
    shape: Shape, cluster: Cluster, state: Snapshot, ends: tuple[End, End], traffic: tuple[str, int]
) -> None:
    reach = state.reach(*ends)
    spot = _point(*traffic)
    said = (spot <= reach.must, spot <= reach.may)
    expected = _oracle(shape)(cluster, *(_body(cluster, end) for end in ends), *traffic)
    wanted = (expected is Allowed.YES, expected is not Allowed.NO)
    if said == (True, True) and _undefined(shape, traffic):
        wanted = (expected is not Allowed.NO, wanted[1])
    node = any(isinstance(end, str) and end.startswith(_NODES) for end in ends)
    fits = (not said[0] or wanted[0]) and (said[1] or not wanted[1]) if shape.odd or node else said == wanted
    cell = f"{ends[0]} -> {ends[1]} {traffic[0]}/{traffic[1]}"
    if not fits:
        raise DisagreementError(f"{cell}: the engine says (must, may) {said}, the naive evaluator {expected.value}")


def _check_explanation(state: Snapshot, ends: tuple[End, End], traffic: tuple[str, int]) -> None:
    reach, spot = state.reach(*ends), _point(*traffic)
    told = explain(state, *ends, Connection(*traffic)).allowed
    word = Answer.YES if spot <= reach.must else Answer.MAYBE if spot <= reach.may else Answer.NO
    if told is not word:
        raise DisagreementError(f"{ends[0]} -> {ends[1]} {traffic}: explained as {told.name}, answered as {word.name}")


def _check_rebuilt(case: Case, after: Snapshot) -> None:
    """What an edit led to answers as what is built from nothing: of pods and some addresses, every cell."""
    rebuilt = snapshot(case.after, case.shape.dialect)
    if rebuilt.core.endpoints.nodes != after.core.endpoints.nodes:
        return  # an address that was a node's before the edit stays one
    for one, other in _pairs(_live(case.after), _addresses(case.after)):
        said, anew = after.reach(one, other), rebuilt.reach(one, other)
        if (said.must, said.may) != (anew.must, anew.may):
            raise DisagreementError(f"{one} -> {other}: {said} after the edit, {anew} when built from nothing")


def _pairs(pods: Iterable[Pod], addresses: Iterable[str]) -> Iterator[tuple[End, End]]:
    """Pods with each other, and with a few addresses."""
    some, few = list(pods), list(addresses)[:_FEW]
    yield from product(some, some)
    yield from product(some, few)
    yield from product(few, some)


def _undefined(shape: Shape, traffic: tuple[str, int]) -> bool:
    """Whether NetworkPolicy says nothing of such traffic: where a rule without ports allows it, the engine says so."""
    return shape.dialect == "kubernetes" and traffic[0] == "ICMP"


def _oracle(shape: Shape) -> Callable[..., Allowed]:
    if shape.kinds == "Calico tiers":
        return calico.allowed
    return partial(
        networkpolicy.allowed if shape.kinds == "NetworkPolicy" else admin_policies.allowed, dialect=shape.dialect
    )


def _body(cluster: Cluster, end: End) -> Body | str:
    if isinstance(end, str):
        return end
    return next(
        body
        for body in cluster.pods
        if (body["metadata"]["namespace"], body["metadata"]["name"]) == (end.namespace, end.name)
    )


def _questions(random: Random, cluster: Cluster, most: int) -> Iterator[tuple[End, End, str, int]]:
    """Different cells in random order: pods and addresses over traffic, at every edge that policies know."""
    pods, addresses = _live(cluster), _addresses(cluster)
    pairs: list[tuple[End, End]] = [
        *product(pods, pods),
        *product(pods, addresses),
        *product(addresses, pods),
    ]
    traffic = port_atoms([*cluster.policies, *cluster.others], cluster.pods)
    every = len(pairs) * len(traffic)
    for number in random.sample(range(every), min(most, every)):
        yield *pairs[number // len(traffic)], *traffic[number % len(traffic)]


def _live(cluster: Cluster) -> list[Pod]:
    return [pod for body in cluster.pods if not (pod := pod_from_body(body)).finished]


def _addresses(cluster: Cluster) -> list[str]:
    """An address of each stretch that policies tell apart, in the families that pods speak."""
    pods = _live(cluster)
    taken = {ip for pod in pods if not pod.host_network for ip in pod.ips}
    families = {6 if ":" in ip else 4 for pod in pods for ip in pod.ips} or {4}
    found = [str(one) for one in address_atoms([*cluster.policies, *cluster.others]) if one.version in families]
    return [text for text in [*found, *(("93.184.216.34",) if 4 in families else ())] if text not in taken]


def _point(protocol: str, port: int) -> PortSet:
    return Connection(protocol, port).traffic() if protocol == "ICMP" else port_set(protocol, port)


# -- differences ---------------------------------------------------------------------------------------------------


def _check_delta(case: Case, before: Snapshot, found: Delta) -> None:
    """Between pods, and pods and some addresses, nothing missing; and in each rectangle a cell that did change."""
    after = found.after
    opened = closed = False
    both = Cluster(
        case.after.namespaces,
        list({repr(body): body for body in (*case.before.pods, *case.after.pods)}.values()),
        [*case.before.policies, *case.after.policies],
        [*case.before.others, *case.after.others],
    )
    for one, other in _pairs({str(pod): pod for pod in _live(both)}.values(), _addresses(both)):
        if str(one) == str(other):
            continue
        was, now = _at(before, one, other), _at(after, one, other)
        for bound, (added, removed) in enumerate(
            ((found.added_surely, found.removed_surely), (found.added, found.removed))
        ):
            gone, come = was[bound] - now[bound], now[bound] - was[bound]
            opened, closed = opened or bool(come), closed or bool(gone)
            for changed, flows, state in ((come, added, after), (gone, removed, found.before)):
                if changed and not changed <= flows.between(state.class_of(one), state.class_of(other)):
                    raise DisagreementError(f"{one} -> {other} {changed} changed and is not in the delta")
    if found.before is not before:
        return
    for flows, have, less, bound in (
        (found.added, after, before, 1),
        (found.removed, before, after, 1),
        (found.added_surely, after, before, 0),
        (found.removed_surely, before, after, 0),
    ):
        _check_rectangles(flows, have, less, bound)
    said = (
        found.direction in (Direction.LOOSENS, Direction.MIXED),
        found.direction in (Direction.TIGHTENS, Direction.MIXED),
    )
    if (opened and not said[0]) or (closed and not said[1]):
        raise DisagreementError(f"direction {found.direction}, but flows open: {opened}, close: {closed}")


def _at(state: Snapshot, one: End, other: End) -> tuple[PortSet, PortSet]:
    """(must, may) between two ends of a name; nothing where a pod does not exist or has finished."""
    ends = [_same_name(state, end) for end in (one, other)]
    if ends[0] is None or ends[1] is None:
        return NONE, NONE
    reach = state.reach(ends[0], ends[1])
    return reach.must, reach.may


def _same_name(state: Snapshot, end: End) -> End | None:
    if isinstance(end, str):
        return end
    view = state.namespaces.get(end.namespace)
    return view.pods.get(end.name) if view is not None and end.name in view.classes else None


def _check_rectangles(flows: Flows, have: Snapshot, less: Snapshot, bound: int) -> None:
    for part in flows.rectangles:
        sources, targets = (list(_members(have, bits)) for bits in (part.sources, part.targets))
        spot = PortSet(((part.traffic.spans[0][0],) * 2,))
        if not any(
            spot <= _at(have, one, other)[bound] - _at(less, one, other)[bound]
            for one in sources
            for other in targets
            if str(one) != str(other) and (isinstance(one, Pod) or isinstance(other, Pod))
        ):
            raise DisagreementError(f"the delta holds {part}, of which no cell differs")


def _members(state: Snapshot, bits: int) -> Iterator[End]:
    """Those who are in the classes: all pods, and some addresses of each range (a pod's too: it may be another's)."""
    for view in state.namespaces.values():
        for name, position in view.classes.items():
            if bits >> position & 1:
                yield view.pods[name]
    endpoints = state.core.endpoints
    ranges = [one for one in endpoints.classes if isinstance(one, Outside)]
    for position in positions(bits & ~endpoints.labels.everything & (1 << endpoints.size) - 1):
        whole = endpoints.classes[position]
        if isinstance(whole, Outside):
            # A range that only one of two snapshots cuts changes in parts: ask in each part that any snapshot knows.
            lows = {one.low for one in ranges if whole.low <= one.low <= whole.high}
            yield from (text for low in lows for text in _texts(low, whole.high))


def _texts(low: int, high: int) -> Iterator[str]:
    """The first few addresses of a range."""
    for point in range(low, min(low + 3, high + 1)):
        yield str(IPv4Address(point) if point < V6_BASE else IPv6Address(point - V6_BASE))
