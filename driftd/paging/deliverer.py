"""The deliverer: empties the outbox of one destination, step by step, for as long as the process runs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog

from driftd.paging.destination import Destination, NotAccepted, Refused
from driftd.paging.outbox import Outbox
from driftd.paging.step import Action, Step
from driftd.paging.wording import trace_of
from driftd.store import DeliveryRow
from driftd.telemetry import Attributes, Metrics, Traces, names
from driftd.values import Clock

_log = structlog.get_logger()

_IDLE_SECONDS = 60.0
_FAULT_SECONDS = 1.0

Record: TypeAlias = Callable[[Step, DeliveryRow], Awaitable[None]]
"""Keeps what was told; returns when that is durable, or when nothing would take it."""


class Deliverer:
    """One destination and its outbox."""

    def __init__(
        self,
        *,
        destination: Destination,
        outbox: Outbox,
        record: Record,
        clock: Clock,
        metrics: Metrics,
        traces: Traces,
    ) -> None:
        self.outbox = outbox
        self._destination = destination
        self._record = record
        self._clock = clock
        self._metrics = metrics
        self._traces = traces
        self._poked = asyncio.Event()
        self._refresh_due = 0.0
        for action in Action:  # a counter that begins with its first event hides it from increase()
            metrics.deliveries.labels(destination.name, action.value, "refused")

    def poke(self) -> None:
        """There is something new to tell."""
        self._poked.set()

    async def run(self) -> None:
        """Deliver until cancelled. A fault of ours is logged, and stops neither this nor the daemon."""
        try:
            while True:
                pause = _FAULT_SECONDS
                try:
                    await self.step()
                    pause = self._pause()
                except Exception:  # noqa: BLE001 - the supervisor: pages must go on
                    _log.exception("page.delivery_fault", destination=self._destination.name)
                try:
                    async with asyncio.timeout(pause):
                        await self._poked.wait()
                except TimeoutError:
                    continue
        finally:
            await self._destination.close()

    async def step(self) -> None:
        """Tell whatever may be told at this moment."""
        self._poked.clear()
        while (step := self.outbox.next(self._clock.monotonic())) is not None:
            await self._tell(step)
        if self._destination.refresh_seconds and self._clock.monotonic() >= self._refresh_due:
            await self._refresh()
        self._metrics.outbox_depth.labels(self._destination.name).set(len(self.outbox))

    async def _tell(self, step: Step) -> None:
        name = self._destination.name
        said = {"destination": name, "action": step.action.value, "page": step.page.key, "class": step.page.cls}
        trace, began = trace_of(step.page), time.time_ns()
        if trace:
            said["trace_id"] = trace
        try:
            await self._destination.send(step, self._clock.now())
        except NotAccepted as error:
            self.outbox.failed(step, self._clock.monotonic(), error.retry_after)
            self._metrics.deliveries.labels(name, step.action.value, "failed").inc()
            _log.warning("page.not_accepted", why=error.why, **said)
            return
        except Refused as error:
            delivery = self.outbox.refused(step, self._clock.now(), error.why)
            self._metrics.deliveries.labels(name, step.action.value, "refused").inc()
            _log.error("page.refused", why=error.why, **said)
            self._traces.late(trace, names.PAGE, began, _told(name, step, "refused"))
        else:
            delivery = self.outbox.accepted(step, self._clock.monotonic(), self._clock.now())
            self._metrics.deliveries.labels(name, step.action.value, "accepted").inc()
            _log.info("page.accepted", urgency=step.page.urgency.value, **said)
            self._traces.late(trace, names.PAGE, began, _told(name, step, "accepted"))
            self._time(step)
        if delivery is not None:
            await self._record(step, delivery)

    def _time(self, step: Step) -> None:
        """How long it took from the drift to the first word of it."""
        if step.page.revision == 1 and step.told is None and step.page.cls is not None:
            seconds = (self._clock.now() - step.page.opened).total_seconds()
            self._metrics.page_seconds.labels(step.page.cls.value).observe(max(0.0, seconds))

    async def _refresh(self) -> None:
        now = self._clock.monotonic()
        self._refresh_due = now + self._destination.refresh_seconds
        steps = self.outbox.open()
        if not steps:
            return
        try:
            await self._destination.refresh(steps, self._clock.now())
        except (NotAccepted, Refused) as error:
            self._refresh_due = now + min(5.0, self._destination.refresh_seconds)
            _log.warning("page.not_refreshed", destination=self._destination.name, why=error.why, pages=len(steps))

    def _pause(self) -> float:
        now = self._clock.monotonic()
        wake = self.outbox.wake_at(now)
        dates = [
            at for at in (wake, self._refresh_due if self._destination.refresh_seconds else None) if at is not None
        ]
        return min(_IDLE_SECONDS, max(0.01, min(dates) - now)) if dates else _IDLE_SECONDS


def _told(destination: str, step: Step, result: str) -> Attributes:
    return {
        names.DESTINATION: destination,
        names.ACTION: step.action.value,
        names.PAGE_CLASS: step.page.cls.value if step.page.cls else "",
        names.URGENCY: step.page.urgency.value,
        names.RESULT: result,
    }
