"""The pager: the machine between the store and the destinations. What happens is kept before anybody is told of it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec
import structlog

from driftd.paging.deliverer import Deliverer
from driftd.paging.destination import Destination
from driftd.paging.machine import Machine
from driftd.paging.odd import OddFindings, contained
from driftd.paging.outbox import Outbox, Pacing
from driftd.paging.pages import Condition, Page, PageClass, PageState, Urgency, page_of, row_of
from driftd.paging.rules import DEFAULT_ROUTE
from driftd.paging.step import Step
from driftd.paging.strangers import Strangers
from driftd.paging.windows import Instant
from driftd.store import (
    Act,
    Begin,
    Close,
    DeliveryRow,
    EntryRefused,
    Finish,
    PageRow,
    Store,
    StoreGone,
    StoreMode,
    StoreState,
    StoreUnreadable,
)
from driftd.telemetry import Metrics, Traces, current_trace_id
from driftd.values import Clock, Finding, Seen

_log = structlog.get_logger()

_LOOK_SECONDS = 0.5
"""How often conditions are asked for, at least."""
_FAULT_SECONDS = 1.0


class Rollouts(Protocol):
    """Whoever knows what a new model has changed itself."""

    def covers(self, finding: Finding) -> bool:
        """Whether a finding that has just been opened shows only that. Asked once a finding that is opened."""
        ...

    def holds(self, finding: Finding) -> bool:
        """Whether one that was covered still shows no more."""
        ...


class Pager:
    """Pages of one daemon; the store's companion.

    Active while this replica leads, or while nobody else is known to: one that has lost sight of the API server has
    lost its lease too, and is the only one who can say so.

    Args:
        destinations: by name of route, whom its pages are told.
        conditions: asked twice a second what is wrong with driftd itself.
        active: whether this replica is the one to page.
        leading: whether it leads, and so knows what is over.
        rollouts: tells what a new model asks for from what somebody has done; without, nothing is a rollout.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        traces: Traces,
        machine: Machine,
        destinations: Mapping[str, Sequence[tuple[Destination, Pacing]]],
        conditions: Callable[[], Collection[Condition]],
        active: Callable[[], bool],
        leading: Callable[[], bool],
        rollouts: Rollouts | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._traces = traces
        self._machine = machine
        self._conditions = conditions
        self._active = active
        self._leading = leading
        self._rollouts = rollouts
        self._poked = asyncio.Event()
        self._taking_over = asyncio.Lock()
        self._taken_over = False
        self._past_unknown = False
        self._save_all = False
        self._said: dict[tuple[str, int], tuple[PageState, int]] = {}
        self._ended: dict[tuple[str, int], Page] = {}
        self._superseded: list[DeliveryRow] = []
        self._settled: list[PageRow] = []
        self._odd = OddFindings()
        self._strangers = Strangers(store, machine)
        self._counted: dict[tuple[PageClass, Urgency], int] = {}
        self._deliverers: dict[str, Deliverer] = {}
        self._rerouted: set[tuple[str, str]] = set()
        self._routes = {
            route: [self._deliverer(one, pacing).outbox for one, pacing in found]
            for route, found in destinations.items()
        }
        store.companion = self
        store.watch(self._store_changed)

    # -- the store's companion ------------------------------------------------------------------------------------

    def pages_for(self, act: Act) -> tuple[PageRow, ...]:
        """The pages that belong into the transaction of an act."""
        now = self._now()
        match act:
            case Begin(findings=findings):
                for finding in findings:
                    self._opened(finding, now)
            case Finish(reports=reports):
                for finding in reports:
                    self._reported(finding, now)
            case Close(ids=ids):
                for id in ids:
                    self._closed(id, now)
            case _:
                pass
        return self._rows()

    def recorded(self, pages: Sequence[PageRow]) -> None:
        """Pages are kept: destinations may be told."""
        for row in pages:
            if not row.gone:
                with contained(page=row.key):
                    self._offer(page_of(row))
        self._poked.set()

    def _opened(self, finding: Finding, now: Instant) -> None:
        with self._odd.kept_if_odd(finding, now.wall):
            rollout = self._rollouts is not None and self._rollouts.covers(finding)
            self._machine.opened(finding, now, trace=current_trace_id(), rollout=rollout)

    def _reported(self, finding: Finding, now: Instant) -> None:
        if self._odd.reported(finding):
            return
        with self._odd.kept_if_odd(finding, now.wall):
            rollout = self._rollouts is not None and self._rollouts.holds(finding)
            self._machine.reported(finding, now, rollout=rollout)

    def _closed(self, id: str, now: Instant) -> None:
        self._odd.closed(id)
        with contained(finding=id):
            self._machine.closed([id], now)

    def _open_since(self, finding: Finding, since: datetime, now: Instant) -> None:
        with self._odd.kept_if_odd(finding, since):
            self._machine.opened(finding, now, since=since)

    # -- the loop -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look, keep and tell until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look(), name="pager")
            for name, deliverer in self._deliverers.items():
                group.create_task(deliverer.run(), name=f"pager-{name}")

    async def activate(self) -> None:
        """Take over what earlier runs left; before this replica records anything as the leader."""
        async with self._taking_over:
            if not self._taken_over or (self._past_unknown and self._store.durable):
                await self._take_over()

    async def step(self) -> None:
        """Settle what is due at this moment."""
        self._poked.clear()
        if not self._active():
            self._stand_down()
            self._count()
            return
        await self.activate()
        now = self._now()
        for finding, since in self._odd.again(now.monotonic):
            self._open_since(finding, since, now)
        self._machine.advance(now)
        with contained(about="conditions"):
            self._machine.conditions(self._conditions(), now, whole=self._leading())
        if self._leading() and self._store.durable and not self._past_unknown:
            await self._take_in(now)
        await self._keep()
        self._count()

    async def deliver(self) -> None:
        """Tell every destination whatever it may be told at this moment, once."""
        for deliverer in self._deliverers.values():
            await deliverer.step()

    @property
    def depth(self) -> int:
        """Pages that somebody has yet to be told something of."""
        return sum(len(one.outbox) for one in self._deliverers.values())

    async def _look(self) -> None:
        while True:
            pause = _FAULT_SECONDS
            try:
                await self.step()
                pause = self._pause()
            except Exception:  # noqa: BLE001 - the supervisor: a fault of paging must not end the daemon
                _log.exception("page.fault")
            try:
                async with asyncio.timeout(pause):
                    await self._poked.wait()
            except TimeoutError:
                continue

    def _pause(self) -> float:
        due = self._machine.due
        return _LOOK_SECONDS if due is None else min(_LOOK_SECONDS, max(0.005, due - self._clock.monotonic()))

    # -- keeping --------------------------------------------------------------------------------------------------

    async def _take_over(self) -> None:
        """Go on where an earlier run, or another replica, stopped."""
        if not self._taken_over:
            self._forget()  # the last records of an earlier term may have come after it stood down
        self._taken_over = True
        try:
            told = await self._store.unsettled_pages()
            seen = await self._store.open_findings()
        except StoreUnreadable as error:
            self._past_unknown = True
            _log.error("page.past_unknown", why=str(error))
            return
        # What waits in the journal is not among the findings read here: they are read again when it is replayed.
        self._past_unknown = not self._store.durable
        known: list[tuple[Page, tuple[DeliveryRow, ...]]] = []
        for one in told:
            try:
                known.append((page_of(one.page), one.deliveries))
            except msgspec.MsgspecError as error:
                _log.error("page.unreadable", page=one.page.key, life=one.page.life, why=str(error))
        gone = Counter(row.destination for _, rows in known for row in rows if self._unreachable(row))
        for name, count in gone.items():
            _log.warning("page.destination_gone", destination=name, pages=count)
        self._load([page for page, _ in known], None if self._past_unknown else seen, self._now())
        for page, deliveries in known:
            with contained(page=page.key):
                self._offer(page, {one.destination: one for one in deliveries})
        await self._keep()

    def _load(self, pages: Sequence[Page], seen: Iterable[Seen] | None, now: Instant) -> None:
        """Pages that were kept, beside the findings that are open now (None: nobody can say).

        A page whose finding is no longer open is quiet from now on. Open findings without a page get one that counts
        from when they were opened, unless there are findings in hand: those are newer than the kept ones.
        """
        first = self._machine.empty
        held = self._machine.load(pages, now)
        if seen is None:
            return
        findings = {one.finding.id: one for one in seen}
        for id in held:
            if id not in findings:
                self._closed(id, now)
        for one in findings.values() if first else ():
            self._open_since(one.finding, one.opened, now)

    async def _take_in(self, now: Instant) -> None:
        """Tell the end of what another replica has left behind."""
        for left in await self._strangers.look(now, self._ended.keys()):
            page, through = left.page, left.told_here or left.page.gone
            known = {one.destination: one for one in left.deliveries}
            self._settled.append(row_of(page, settled=through or not self._hearers(page, known)))
            if left.told_here:
                self._superseded += [msgspec.structs.replace(one, superseded=True) for one in left.deliveries]
            elif not through:
                self._offer(page, known)

    def _stand_down(self) -> None:
        """Somebody else leads: what was taken over is theirs now."""
        if self._taken_over:
            self._taken_over = False
            self._forget()

    def _forget(self) -> None:
        self._machine.forget()
        self._said.clear()
        self._ended.clear()
        self._superseded.clear()
        self._settled.clear()
        self._odd.forget()
        self._strangers.forget()
        for deliverer in self._deliverers.values():
            deliverer.outbox.forget()

    async def _keep(self) -> None:
        """Write down what has changed, then let it be told."""
        if self._save_all:
            self._save_all = False
            self._machine.touch()
        rows, superseded, settled = self._rows(), self._superseded, self._settled
        self._superseded, self._settled = [], []
        if not rows and not superseded and not settled:
            return
        try:
            await self._store.tell([*rows, *settled], superseded)
        except (StoreGone, EntryRefused) as error:
            _log.error("page.not_recorded", why=str(error), pages=len(rows))
        finally:
            self.recorded(rows)

    async def _record(self, step: Step, delivery: DeliveryRow) -> None:
        """Keep what a destination took, and that this was all there was to tell."""
        settled = self._settle(step.page.key, step.page.life)
        try:
            await self._store.tell([settled] if settled is not None else [], [delivery])
        except (StoreGone, EntryRefused) as error:
            # Told again after a restart at worst, under the same key.
            _log.error("page.not_recorded", why=str(error), page=step.page.key, destination=delivery.destination)

    def _settle(self, key: str, life: int) -> PageRow | None:
        """The row of a page that is over and told to everybody; None while somebody has yet to hear of it."""
        page = self._ended.get((key, life))
        if page is None or any(one.outbox.owes(key, life) for one in self._deliverers.values()):
            return None
        del self._ended[key, life]
        return row_of(page, settled=True)

    def _rows(self) -> tuple[PageRow, ...]:
        for about, error in self._machine.faults():
            _log.error("page.fault", about=str(about), exc_info=error)
        rows: list[PageRow] = []
        for page in self._machine.take():
            with contained(page=page.key):
                rows.append(row_of(page, settled=page.over and not self._hearers(page)))
                self._say(page)
        return tuple(rows)

    def _say(self, page: Page) -> None:
        """Log what people are told of, once; what is told as part of a storm, or not at all, shows in `driftd page`."""
        if not page.told and not page.muted:
            return
        name, news = (page.key, page.life), (page.state, page.revision)
        if self._said.get(name) != news:
            self._said[name] = news
            _log.info("page.state", page=page.key, state=page.state.value, **_about(page))
        if page.over:
            del self._said[name]

    def _hearers(self, page: Page, known: Mapping[str, DeliveryRow] | None = None) -> list[Outbox]:
        """Whom its route names, and who has been told of it already, while the settings were others (`known`)."""
        if not page.told:
            return []
        named = self._outboxes(page)
        told = {one.destination for one in (known or {}).values() if _stands(one)}
        outboxes = [one.outbox for one in self._deliverers.values()]
        heard = [one for one in outboxes if one in named or one.name in told or one.holds(page.key, page.life)]
        return [one for one in heard if one.takes(page)]

    def _outboxes(self, page: Page) -> list[Outbox]:
        """Those of its route; where the settings have no such route any more, of the one it would take today."""
        found = self._routes.get(page.route)
        if found is not None:
            return found
        route = self._machine.route(page.about)
        if (page.route, route) not in self._rerouted:
            self._rerouted.add((page.route, route))
            _log.warning("page.route_gone", route=page.route, instead=route)
        return self._routes.get(route) or self._routes.get(DEFAULT_ROUTE, [])

    def _unreachable(self, row: DeliveryRow) -> bool:
        """Whether the settings lack a destination that holds a page for open."""
        return _stands(row) and row.destination not in self._deliverers

    def _offer(self, page: Page, known: Mapping[str, DeliveryRow] | None = None) -> None:
        """Hand a page to whom it is for; `known` are its deliveries of an earlier run."""
        hearers = self._hearers(page, known)
        if page.over and (hearers or known is not None):
            self._ended[page.key, page.life] = page
        for outbox in hearers:
            superseded = outbox.offer(page, (known or {}).get(outbox.name))
            self._superseded += superseded
            self._settled += [row for one in superseded if (row := self._settle(one.key, one.life)) is not None]
            self._deliverers[outbox.name].poke()
        if (row := self._settle(page.key, page.life)) is not None:
            # All had refused it before it was over, or it was through and the earlier run had no time to say so.
            self._settled.append(row)

    def _deliverer(self, destination: Destination, pacing: Pacing) -> Deliverer:
        made = self._deliverers.get(destination.name)
        if made is None:
            outbox = Outbox(destination.name, pacing, changes=destination.takes_changes)
            made = self._deliverers[destination.name] = Deliverer(
                destination=destination,
                outbox=outbox,
                record=self._record,
                clock=self._clock,
                metrics=self._metrics,
                traces=self._traces,
            )
        return made

    def _store_changed(self, state: StoreState) -> None:
        """The database is back: whatever it may have lost of pages is written again."""
        if state.mode is StoreMode.OK:
            self._save_all = True
            self._poked.set()

    def _count(self) -> None:
        counts = self._machine.open_counts()
        if counts == self._counted:
            return
        for cls, urgency in self._counted.keys() - counts.keys():
            self._metrics.pages_open.remove(cls.value, urgency.value)
        self._counted = counts
        for (cls, urgency), count in counts.items():
            self._metrics.pages_open.labels(cls.value, urgency.value).set(count)

    def _now(self) -> Instant:
        return Instant(self._clock.monotonic(), self._clock.now())


def _stands(row: DeliveryRow) -> bool:
    """Whether the destination was told, and not of the end."""
    return row.revision > 0 and not row.resolved and not row.superseded


def _about(page: Page) -> dict[str, object]:
    return {
        "class": page.cls.value if page.cls else "",
        "urgency": page.urgency.value,
        "about": str(page.about),
        "tenant": page.about.tenant,
        "route": page.route,
        "muted": page.muted,
    }
