"""What an audit log says in numbers: who wrote what how often, and how long a wrong object stood."""

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import timedelta

from tests.oracle.replay import Key, Record, in_commit_order


@dataclass(frozen=True)
class Writes:
    """Requests by (user, object). Reads, dry runs and refused writes are not in `done`; the latter are in `refused`."""

    done: Counter[tuple[str, Key]]
    refused: Counter[tuple[str, Key]]

    def by(self, user: str) -> int:
        """How many writes of a user succeeded."""
        return sum(count for (who, _), count in self.done.items() if who == user)

    def to(self, key: Key) -> int:
        """How many writes to an object succeeded, whoever made them."""
        return sum(count for (_, where), count in self.done.items() if where == key)


@dataclass(frozen=True)
class Heal:
    """A tampering of one object and its repair: first and last write of the healer until somebody else writes again.

    For an object that must go, the first is its emptying, the last its deletion. None: it was never repaired.
    """

    key: Key
    tamper: Record
    first: Record | None
    last: Record | None

    @property
    def open_for(self) -> timedelta | None:
        """From the end of the tampering request to the end of the first repairing one."""
        return self.first.done - self.tamper.done if self.first else None

    @property
    def healed_after(self) -> timedelta | None:
        """From the end of the tampering request to the end of the last repairing one."""
        return self.last.done - self.tamper.done if self.last else None


def writes(records: Iterable[Record]) -> Writes:
    """Writes per user and object."""
    done: Counter[tuple[str, Key]] = Counter()
    refused: Counter[tuple[str, Key]] = Counter()
    for record in records:
        if record.is_write:
            (done if record.succeeded else refused)[record.user, record.key] += 1
    return Writes(done, refused)


def tamper_to_heal(records: Iterable[Record], user: str, tamperers: Container[str] | None = None) -> list[Heal]:
    """Each tampering (a successful write by somebody else; only `tamperers` if given) with the repair by `user`.

    Several tamperings of an object before its repair count once, from the first: so long the object stood wrong. Which
    came first is which was committed first. The repair's answer may be finished before the tampering's: negative.
    """
    by_key: dict[Key, list[Record]] = {}
    for record in records:
        if record.is_write and record.succeeded and record.key.name:
            by_key.setdefault(record.key, []).append(record)
    heals = [heal for key, history in by_key.items() for heal in _heals(key, history, user, tamperers)]
    return sorted(heals, key=lambda heal: heal.tamper.done)


def _heals(key: Key, history: list[Record], user: str, tamperers: Container[str] | None) -> list[Heal]:
    found: list[Heal] = []
    standing: Heal | None = None
    for record in in_commit_order(history):
        if record.user == user:
            if standing:
                standing = Heal(key, standing.tamper, standing.first or record, record)
        elif tamperers is None or record.user in tamperers:
            if standing and standing.first:
                found.append(standing)
                standing = None
            standing = standing or Heal(key, record, None, None)
    return [*found, standing] if standing else found
