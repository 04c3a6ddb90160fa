"""What a single rule matches: rectangles of traffic and peers, named ports resolved at the destination."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from driftd.policy.reach.dialects import Answer, Reading
from driftd.policy.reach.endpoints import Endpoints
from driftd.policy.reach.matching import Matcher
from driftd.policy.reach.pods import NamedPorts
from driftd.policy.reach.policies import ANYONE, HOSTS, Flow, PortMatch, Rule
from driftd.policy.reach.ports import NONE, PortSet, ports
from driftd.policy.reach.relation import Same

Pairs: TypeAlias = tuple[tuple[PortSet, int], ...]
"""Rectangles: all of this traffic with all of these endpoints."""


@dataclass(frozen=True, slots=True)
class Match:
    """Where a rule surely and where it perhaps matches; the same object where there is no doubt."""

    must: Pairs
    may: Pairs


@dataclass(frozen=True, slots=True)
class Near:
    """What about the protected class bears on its own rules: its port names, and how it meets rules' `near` ends.

    `narrowed` holds only rules with such a condition: whether the class perhaps (False) or surely (True) meets it;
    rules it does not meet are in `missed`.
    """

    ports: NamedPorts = ()
    narrowed: tuple[tuple[Rule, bool], ...] = ()
    missed: frozenset[Rule] = frozenset()

    def reaches(self, rule: Rule) -> bool:
        return rule not in self.missed

    def surely(self, rule: Rule) -> bool:
        return rule.near is ANYONE or (rule, True) in self.narrowed


PLAIN: Final = Near()


class RuleMatcher:
    """Evaluates rules over the classes of one `Endpoints` in one dialect."""

    def __init__(self, endpoints: Endpoints, reading: Reading, governed: frozenset[str] = frozenset()) -> None:
        self.endpoints = endpoints
        self.peers = Matcher(endpoints, reading, governed)
        self.same = Same()
        self._reading = reading
        self._splits: dict[PortMatch, tuple[int, list[tuple[PortSet, PortSet, int]]]] = {}

    @property
    def size(self) -> int:
        return self.endpoints.size

    @property
    def local_sources(self) -> int:
        """Sources that may be a pod's own node, from which traffic is always let in (kubelet probes)."""
        return self.peers.bits(HOSTS)[1]

    @property
    def local_targets(self) -> int:
        """Targets that may be a pod's own node, if the dialect always lets a pod speak to that."""
        return self.local_sources if self._reading.own_node is not Answer.NO else 0

    def match(self, rule: Rule, flow: Flow, near: Near) -> Match:
        """The rule's rectangles for a protected class; the far end is the source (ingress) or destination (egress)."""
        must_bits, may_bits = self.peers.bits(rule.far)
        if flow is Flow.EGRESS and (rule.ports.names or rule.ports.not_names):
            split = self._split(rule.ports)
            may = tuple([(perhaps, may_bits & members) for _, perhaps, members in split])
            must = tuple([(sure, must_bits & members) for sure, _, members in split])
        else:
            sure, perhaps = self.resolve(rule.ports, near.ports)
            may, must = ((perhaps, may_bits),), ((sure, must_bits),)
        if not rule.certain or rule.request is not None:
            return Match((), may)
        return Match(may, may) if must == may else Match(must, may)

    def _split(self, match: PortMatch) -> list[tuple[PortSet, PortSet, int]]:
        """Destinations by what the match means for them: (surely, perhaps, who). Addresses have no port names."""
        size, found = self._splits.get(match, (-1, []))
        if size == self.size:
            return found
        by_meaning: dict[tuple[PortSet, PortSet], int] = {}
        nameless = self.resolve(match, ())
        host, rest = self.endpoints.host, -1
        for names, members in self.endpoints.by_ports.items():
            rest &= ~members
            meaning = self.resolve(match, names)
            by_meaning[meaning] = by_meaning.get(meaning, 0) | (members & ~host)
            if members & host:
                # In the host's network a pod counts as its node, surely or perhaps: then it has no port names.
                open_question = self._reading.host_pod_selected is not Answer.NO
                meaning = (nameless[0] & meaning[0], nameless[1] | meaning[1]) if open_question else nameless
                by_meaning[meaning] = by_meaning.get(meaning, 0) | (members & host)
        by_meaning[nameless] = by_meaning.get(nameless, 0) | rest
        found = [(*meaning, members) for meaning, members in by_meaning.items() if meaning[1]]
        self._splits[match] = (self.size, found)
        return found

    def resolve(self, match: PortMatch, names: NamedPorts) -> tuple[PortSet, PortSet]:
        """The traffic a port match means for a destination with these port names: (surely, perhaps)."""
        if not match.names and not match.not_names:
            numbers = match.numbers - match.not_numbers
            return numbers - self._doubtful(match), numbers
        sure, perhaps = self._named(match.names, dict(names))
        sure_not, perhaps_not = self._named(match.not_names, dict(names))
        return (
            (match.numbers - self._doubtful(match) | sure) - (match.not_numbers | perhaps_not),
            (match.numbers | perhaps) - (match.not_numbers | sure_not),
        )

    def _doubtful(self, match: PortMatch) -> PortSet:
        """Traffic of a match that counts only where the ends of ranges are read."""
        return NONE if self._reading.port_ranges is Answer.YES else match.ranged

    def _named(
        self, wanted: tuple[tuple[str, str], ...], have: Mapping[tuple[str, str], tuple[int, ...]]
    ) -> tuple[PortSet, PortSet]:
        sure = perhaps = NONE
        for name in wanted:
            numbers = have.get(name, ())
            found = NONE
            for number in numbers:
                found = found | ports(name[0], number)
            perhaps = perhaps | found
            if len(numbers) == 1 or self._reading.repeated_port_name is Answer.YES:
                sure = sure | found
        return sure, perhaps
