"""Who looks at whom: from a peer expression to the policies that use it, to find what tells two classes apart."""

from collections.abc import Iterator

from driftd.policy.reach.endpoints import Outside, PodClass
from driftd.policy.reach.matching import Matcher
from driftd.policy.reach.policies import Anyone, Both, Either, Nobody, Peer, Perhaps, Pods, Policy, Unless


class Watch:
    """An index of every policy a lineage has seen by the peers of its rules. Grows only."""

    def __init__(self) -> None:
        self._local: dict[str, dict[Peer, list[Policy]]] = {}
        self._wide: dict[Peer, list[Policy]] = {}
        self._naming: list[Policy] = []

    def add(self, policy: Policy) -> None:
        """Take in a policy, once."""
        named = False
        seen: set[Peer] = set()
        for rules in (policy.ingress, policy.egress):
            for rule in rules or ():
                named = named or bool(rule.ports.names or rule.ports.not_names)
                seen.update(_leaves(rule.far))
        for peer in seen:
            home = (
                self._local.setdefault(peer.namespace, {}) if isinstance(peer, Pods) and peer.namespace else self._wide
            )
            home.setdefault(peer, []).append(policy)
        if named:
            self._naming.append(policy)

    def telling_apart(self, matcher: Matcher, left: int, right: int, classes: tuple[object, object]) -> set[Policy]:
        """Policies with a rule for whose far end it could matter which of two classes stands there."""
        found: set[Policy] = set()
        homes = {endpoint.namespace for endpoint in classes if isinstance(endpoint, PodClass)}
        for index in (self._wide, *(self._local.get(home, {}) for home in sorted(homes))):
            for peer, policies in index.items():
                must, may = matcher.bits(peer, max(left, right) + 1)
                if (must >> left ^ must >> right) & 1 or (may >> left ^ may >> right) & 1:
                    found.update(policies)
        ports = [getattr(endpoint, "ports", ()) for endpoint in classes if not isinstance(endpoint, Outside)]
        if len(ports) != 2 or ports[0] != ports[1]:
            found.update(self._naming)
        return found


def _leaves(peer: Peer) -> Iterator[Peer]:
    match peer:
        case Both(parts) | Either(parts):
            for part in parts:
                yield from _leaves(part)
        case Unless(part) | Perhaps(part, _):
            yield from _leaves(part)
        case Anyone() | Nobody():
            return
        case _:
            yield peer
