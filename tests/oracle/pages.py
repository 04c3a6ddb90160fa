"""A naive account of who is told what about one object: a tenth of a second at a time, every rule spelled out.

Knows nothing of driftd. Times are whole tenths of a second. What is told is a list of (tenth, word, urgency).
"""

from dataclasses import dataclass, field

CROSSING, UNJUDGED, LOOSENING, TIGHTENING, NEUTRAL = "crossing", "unjudged", "loosening", "tightening", "neutral"
WINDOW = {CROSSING: 10, UNJUDGED: 10, LOOSENING: 50, TIGHTENING: 600}
GATHER, STEADY, RESOLVE = 5, 10, 600
LOUD = {"warning": 1, "error": 2, "critical": 3}

Told = tuple[int, str, str]


@dataclass
class Drift:
    kind: str
    since: int
    closed: int | None = None

    def ripe(self, now: int) -> str | None:
        """How loudly this is to be told now, None if not (yet)."""
        if self.kind == NEUTRAL:
            return None
        waited = now - self.since >= WINDOW[self.kind]
        if self.kind in (CROSSING, UNJUDGED):
            if self.closed is None:
                return "critical" if waited else None
            early = self.kind == CROSSING and now >= self.closed and now - self.since >= GATHER
            return "warning" if waited or early else None
        if self.closed is not None or not waited:
            return None
        return "error" if self.kind == LOOSENING else "warning"


@dataclass
class Naive:
    """The life of one object's page, over and over."""

    drifts: dict[str, Drift] = field(default_factory=dict)
    urgency: str = ""
    quiet: int | None = None
    told: list[Told] = field(default_factory=list)

    def settle(self, now: int) -> None:
        """What this tenth brings by itself."""
        loud = max(
            (one for drift in self.drifts.values() if (one := drift.ripe(now))), key=LOUD.__getitem__, default=""
        )
        if loud and (not self.urgency or LOUD[loud] > LOUD[self.urgency]):
            self.urgency = loud
            self.told.append((now, "page", loud))
        if self.quiet is None:
            return
        if self.urgency:
            if now - self.quiet >= RESOLVE:
                self.told.append((now, "resolved", self.urgency))
                self._forget()
            return
        undecided = any(drift.kind in (CROSSING, UNJUDGED) for drift in self.drifts.values())
        if now - self.quiet >= STEADY and not undecided:
            if any(drift.kind == LOOSENING for drift in self.drifts.values()):
                self.told.append((now, "change", ""))
            self._forget()

    def open(self, id: str, kind: str, now: int) -> None:
        drift = self.drifts.get(id)
        if drift is None:
            self.drifts[id] = Drift(kind, now)
        else:
            if drift.closed is not None and now - drift.closed > STEADY:
                drift.since = now
            drift.kind, drift.closed = kind, None
        self.quiet = None
        self.settle(now)

    def judge(self, id: str, kind: str, now: int) -> None:
        drift = self.drifts.get(id)
        if drift is None or drift.kind == kind:
            return
        news = drift.kind == UNJUDGED and self.urgency
        drift.kind = kind
        if news:
            self.told.append((now, "again", self.urgency))
        self.settle(now)

    def close(self, id: str, now: int) -> None:
        drift = self.drifts.get(id)
        if drift is None or drift.closed is not None:
            return
        drift.closed = now
        if all(one.closed is not None for one in self.drifts.values()):
            self.quiet = now
        self.settle(now)

    def _forget(self) -> None:
        self.drifts.clear()
        self.urgency, self.quiet = "", None
