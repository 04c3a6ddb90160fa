"""Policies of tenants' own that came and went without a judgement: evidence of them, one note a minute at most."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from driftd.drift import Comparison, DifferenceKey
from driftd.values import Direction, Finding, Scope, kind_name

_NOTE_SECONDS = 60.0
"""Between two notes about one namespace: its tenant chooses how many come and go."""
_NAMED = 10


@dataclass(slots=True)
class _Namespace:
    next_note: float
    hidden: dict[DifferenceKey, tuple[float, Finding]] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    count: int = 0


class Vanished:
    """What waits for its judgement without a finding, and what of it was not seen again. `now` only goes forward."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._namespaces: dict[Scope, _Namespace] = {}

    def look(
        self, comparison: Comparison, waiting: Collection[str], meant: Callable[[DifferenceKey], Direction | None]
    ) -> None:
        """Take in a look at a namespace.

        Args:
            comparison: what there is, with all that waits.
            waiting: ids of findings that are not told, since their objects have no judgement.
            meant: what the judgement says that has come since; None where what is gone is nobody's concern.
        """
        now, scope = self._now(), comparison.scope
        if not waiting and scope not in self._namespaces:
            return
        here = self._namespaces.setdefault(scope, _Namespace(now))
        standing = {one.key for one in comparison.differences.values()} if here.hidden else set()
        hidden = {comparison.differences[one.id].key: one for one in comparison.findings if one.id in waiting}
        for key, (since, finding) in here.hidden.items():
            if key in standing:
                continue
            if kind_name(key[0].group, key[0].kind) in comparison.unknown:
                hidden.setdefault(key, finding)  # out of sight is not gone
            elif (direction := meant(key)) is not None:
                here.count += 1
                if len(here.gone) < _NAMED:
                    claim = finding.claimed_by
                    by = f", claimed by {claim.who}" if claim is not None and claim.source != "unknown" else ""
                    here.gone.append(f"{finding.ref.name} ({direction.value}, {now - since:.1f} s{by})")
        here.hidden = {key: (here.hidden.get(key, (now, finding))[0], finding) for key, finding in hidden.items()}

    def note(self, scope: Scope) -> Mapping[str, str] | None:
        """What is to be written down of a namespace now, once; None while there is nothing, or it is too soon."""
        here, now = self._namespaces.get(scope), self._now()
        if here is None or not here.count or now < here.next_note:
            return None
        more = f" and {here.count - len(here.gone)} more" if here.count > len(here.gone) else ""
        told = {"count": str(here.count), "policies": ", ".join(here.gone) + more}
        here.gone, here.count, here.next_note = [], 0, now + _NOTE_SECONDS
        return told

    def due(self, scope: Scope) -> float | None:
        """Seconds until the next note about a namespace; None where there will be none."""
        here = self._namespaces.get(scope)
        return max(0.0, here.next_note - self._now()) if here is not None and here.count else None

    def keep_only(self, namespaces: Collection[str]) -> None:
        """Forget other namespaces: nobody looks there any more."""
        self._namespaces = {scope: one for scope, one in self._namespaces.items() if scope.namespace in namespaces}
