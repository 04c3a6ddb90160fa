"""What one destination still has to be told, in which order, and when it may be tried again. Pure: time is an argument.

Told is what the destination accepted, never what was sent: a crash or a lost answer only means that it is told again,
under the same key.
"""

from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from driftd.paging.due import Due
from driftd.paging.pages import Page, PageState, Urgency
from driftd.paging.step import Action, Name, Step
from driftd.store import DeliveryRow


@dataclass(frozen=True, slots=True)
class Pacing:
    """How hard a destination may be pressed. PagerDuty takes about 120 events a minute for each integration key."""

    first_seconds: float = 1.0
    longest_seconds: float = 60.0
    longest_wish_seconds: float = 600.0  # a Retry-After beyond this is not believed
    per_second: float = 100 / 60
    burst: float = 20.0
    settle_seconds: float = 0.0  # between a trigger and its end, for a destination that would pass over both


@dataclass(slots=True)
class _Item:
    page: Page
    delivery: DeliveryRow
    told_at: float = 0.0  # monotonic, of the last trigger


class Outbox:
    """The outbox of one destination.

    Pages are told in the order of urgency; what has ended comes after what has not, changes last. One page is told step
    by step: its end only after its trigger was accepted. A newer life of a page takes the place of an older one that is
    not through: it is the same incident.
    """

    def __init__(self, name: str, pacing: Pacing, *, changes: bool) -> None:
        self.name = name
        self._pacing = pacing
        self._changes = changes
        self._items: dict[Name, _Item] = {}
        self._lives: dict[str, set[int]] = {}
        self._due = Due()
        self._pause = 0.0
        self._not_before = 0.0
        self._tokens = pacing.burst
        self._counted = 0.0

    def __len__(self) -> int:
        """Pages that this destination has yet to be told something of."""
        return len(self._due)

    def takes(self, page: Page) -> bool:
        """Whether this destination hears of such a page at all."""
        return page.told and (self._changes or page.state is not PageState.CHANGE)

    def offer(self, page: Page, delivery: DeliveryRow | None = None) -> list[DeliveryRow]:
        """Take a page as it is now; what this changes about deliveries of older lives of it.

        `delivery` is what is known of it from before a restart. A refusal counts for one run of the process: with
        another key, or another version, it may be taken.
        """
        if not self.takes(page):
            return []
        held = self._items.get((page.key, page.life))
        if held is not None:
            if page.version > held.page.version:
                held.page = page
                self._put_or_drop(held)
            return []
        known = delivery or self._nothing(page)
        item = _Item(page, replace(known, refused=""))
        if self._step(item) is not None or not page.over:
            self._items[page.key, page.life] = item
            self._lives.setdefault(page.key, set()).add(page.life)
            self._put(item)
        return [] if page.state is PageState.CHANGE else self._supersede(page.key)

    def next(self, now: float) -> Step | None:
        """What to tell at this moment, None when there is nothing or the destination is to be left alone."""
        if now < self._not_before or not self._token(now):
            return None
        return self._due.first(now)

    def wake_at(self, now: float) -> float | None:
        """When `next` is worth asking again, None when there is nothing to tell."""
        earliest = self._due.earliest(now)
        if earliest is None:
            return None
        token = now if self._token(now) else now + (1.0 - self._tokens) / self._pacing.per_second
        return max(self._not_before, token, earliest)

    def accepted(self, step: Step, now: float, at: datetime) -> DeliveryRow | None:
        """The destination has taken the step: what to keep of that; None if a newer life has taken its place."""
        self._pause = self._not_before = 0.0
        item = self._attempted(step)
        if item is None:
            return None
        ended = step.action is not Action.TRIGGER
        if not ended:
            item.told_at = now
        revision = max(item.delivery.revision, step.page.revision)
        return self._keep(item, at, revision=revision, resolved=ended, urgency=step.page.urgency.value)

    def failed(self, step: Step, now: float, retry_after: float | None) -> None:
        """It was not taken, or nobody knows: leave the destination alone for a while."""
        self._pause = min(self._pacing.longest_seconds, self._pause * 2 or self._pacing.first_seconds)
        wish = min(retry_after or 0.0, self._pacing.longest_wish_seconds)
        self._not_before = now + max(self._pause, wish)
        item = self._attempted(step)
        if item is not None:
            item.delivery = replace(item.delivery, attempts=item.delivery.attempts + 1)

    def refused(self, step: Step, at: datetime, why: str) -> DeliveryRow | None:
        """The destination will never take this page: the others go on."""
        item = self._attempted(step)
        return None if item is None else self._keep(item, at, refused=why[:512] or "refused")

    def open(self) -> list[Step]:
        """What this destination holds for open: told, not ended."""
        return [
            Step(item.page, Action.TRIGGER, Urgency(item.delivery.urgency))
            for item in self._items.values()
            if item.delivery.revision and not item.delivery.resolved and not item.delivery.refused
        ]

    def forget(self) -> None:
        """Another replica tells these now."""
        self._items.clear()
        self._lives.clear()
        self._due.clear()

    def holds(self, key: str, life: int) -> bool:
        """Whether this life has been offered, and is not told to its end."""
        return (key, life) in self._items

    def owes(self, key: str, life: int) -> bool:
        """Whether this destination has yet to be told something of this life."""
        item = self._items.get((key, life))
        return item is not None and (not item.page.over or self._step(item) is not None)

    def _attempted(self, step: Step) -> _Item | None:
        self._tokens -= 1.0
        return self._items.get((step.page.key, step.page.life))

    def _keep(self, item: _Item, at: datetime, **changes: object) -> DeliveryRow:
        item.delivery = replace(item.delivery, attempts=item.delivery.attempts + 1, at=at, **changes)
        self._put_or_drop(item)
        return item.delivery

    def _put_or_drop(self, item: _Item) -> None:
        if item.page.over and self._step(item) is None:
            self._drop(item)
        else:
            self._put(item)

    def _put(self, item: _Item) -> None:
        """Its page, or what is known of it, has changed: so may what to tell of it, and when."""
        step = self._step(item)
        self._due.put((item.page.key, item.page.life), step, self._earliest(item, step))

    def _earliest(self, item: _Item, step: Step | None) -> float:
        """An end lets the destination settle after the trigger; everything else may be told at once."""
        ends = step is not None and step.action is Action.RESOLVE
        return item.told_at + self._pacing.settle_seconds if ends else 0.0

    def _drop(self, item: _Item) -> None:
        key, life = item.page.key, item.page.life
        del self._items[key, life]
        self._due.put((key, life), None, 0.0)
        self._lives[key].discard(life)
        if not self._lives[key]:
            del self._lives[key]

    def _nothing(self, page: Page) -> DeliveryRow:
        return DeliveryRow(
            key=page.key,
            life=page.life,
            destination=self.name,
            revision=0,
            resolved=False,
            urgency=page.urgency.value,
            attempts=0,
            at=page.opened,
        )

    def _step(self, item: _Item) -> Step | None:
        page, known = item.page, item.delivery
        if known.refused or known.resolved or known.superseded:
            return None
        told = Urgency(known.urgency) if known.revision else None
        if page.state is PageState.CHANGE:
            return Step(page, Action.CHANGE)
        if known.revision < page.revision and (known.revision == 0 or page.state is PageState.OPEN):
            return Step(page, Action.TRIGGER, told)
        return Step(page, Action.RESOLVE, told) if page.state is PageState.RESOLVED else None

    def _supersede(self, key: str) -> list[DeliveryRow]:
        """Of the lives of one page only the newest is told on."""
        held = [self._items[key, life] for life in sorted(self._lives.get(key, ()))]
        lives = [one for one in held if one.page.state is not PageState.CHANGE]
        newest = max((one.page.life for one in lives), default=0)
        older = [one for one in lives if one.page.life < newest]
        for item in older:
            self._drop(item)
        return [replace(item.delivery, superseded=True) for item in older]

    def _token(self, now: float) -> bool:
        gained = max(0.0, now - self._counted) * self._pacing.per_second
        self._tokens = min(self._pacing.burst, self._tokens + gained)
        self._counted = now
        return self._tokens >= 1.0
