"""Small findings, intents and outcomes for tests of what is kept about them."""

from datetime import UTC, datetime, timedelta

from driftd.values import (
    Change,
    Direction,
    Finding,
    FindingType,
    Intent,
    ObjectRef,
    Origin,
    Outcome,
    Result,
    Severity,
    scope_of,
)

START = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


class SteppingClock:
    """Each look at the wall clock is a millisecond later than the last; monotonic time is real enough: it follows."""

    def __init__(self, start: datetime = START) -> None:
        self.wall = start
        self.seconds = 0.0

    def now(self) -> datetime:
        self.wall += timedelta(milliseconds=1)
        return self.wall

    def monotonic(self) -> float:
        self.seconds += 0.01
        return self.seconds


def finding(
    id: str = "f1",
    *,
    namespace: str = "acme-prod",
    tenant: str = "acme",
    name: str = "default-deny",
    direction: Direction = Direction.LOOSENS,
    changes: tuple[Change, ...] = (),
) -> Finding:
    ref = ObjectRef("networking.k8s.io", "NetworkPolicy", namespace, name)
    return Finding(
        id=id,
        type=FindingType.MODIFIED,
        ref=ref,
        scope=scope_of(ref),
        tenant=tenant,
        direction=direction,
        severity=Severity.HIGH,
        summary="egress to everywhere was opened",
        origin=Origin("tenants/acme.yaml", 3, "Environment/acme-prod"),
        changes=changes,
    )


def change(path: str = "egress") -> Change:
    return Change(("spec", path), None, "[{}]", "a rule that allows everything was added")


def intent(id: str = "i1", of: Finding | None = None, *, at: datetime = START) -> Intent:
    about = of or finding()
    return Intent(id, about.id, about.ref, "replace", "uid-1", "41", 3, "dir:0123456789ab", at)


def outcome(intent_id: str = "i1", *, result: Result = Result.DONE, at: datetime = START) -> Outcome:
    return Outcome(intent_id, result, at, "42", "")
