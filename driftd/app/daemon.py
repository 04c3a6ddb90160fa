"""One daemon: its loops started in order and ended in reverse."""

import asyncio
import contextlib
import gc
import signal
import sys
import time

import structlog

from driftd.app.memory import give_back, stay_small
from driftd.app.opening import open_outside
from driftd.app.parts import Parts
from driftd.app.retention import keep_days
from driftd.app.rights import warn_of_guards, warn_of_rights
from driftd.app.system import SystemClock
from driftd.cluster import Term
from driftd.engine import ReadModel, read_here
from driftd.settings import Settings
from driftd.source import SourceError
from driftd.store import StoreError
from driftd.telemetry import configure_logs
from driftd.values import Clock
from driftd.web.api import ApiUnusable

_log = structlog.get_logger()

_FIRST_READING_SECONDS = 5.0
"""How long a restarted daemon waits for its source before it heals by the last good model."""

_STANDBY_SECONDS = 60.0
"""How long a replica waits for its first term before it asks, as a stand-by, what the guards do."""

COLLECTED_AFTER = (20_000, 5, 80)
"""Objects made before the garbage collector looks, and how often it looks at older ones. Reading a model of a thousand
namespaces makes millions of objects and hardly a cycle: at the usual 700, a fifth of that time is spent looking. A look
stops every thread: one at 100,000 objects takes 40 ms, one at four times as many 160 ms."""

SWITCHED_AFTER = 0.00025
"""Seconds that a busy thread keeps the interpreter. A repair gives it up some fifty times (a read, a write, a commit),
and gets it back only after this. While a world of 10,000 policies is built or judged in its thread, a round of the loop
through the store's thread takes 1.3 ms; with 1 ms here it takes 3.6 (`tests/bench/lag.py`), and the world no longer."""


async def run(settings: Settings, clock: Clock | None = None, read_model: ReadModel = read_here) -> int:
    """Run the daemon until SIGTERM or SIGINT, by the machine's clock unless given another; the process's exit code.

    `read_model` reads, admits and compiles the model's revisions.

    Start order: logs, store, health server, model, mirrors, elector, leader-only work. Stop is the reverse.
    """
    configure_logs(level=settings.log.level, json=settings.log.json_lines)
    gc.freeze()  # modules and classes: nobody need walk them again
    gc.set_threshold(*COLLECTED_AFTER)
    gc.enable()
    sys.setswitchinterval(SWITCHED_AFTER)
    stay_small()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with contextlib.AsyncExitStack() as stack:
            outside = await open_outside(settings, clock or SystemClock(), stack, stop)
            return await Daemon(Parts(settings, outside, read_model)).run(stop)
    except StoreError as error:
        _log.critical("store.unusable", why=str(error))
        return 1
    except SourceError as error:
        _log.critical("model.source.unusable", why=str(error))
        return 2
    except ApiUnusable as error:
        _log.critical("api.unusable", why=str(error))
        return 2


class Daemon:
    """The loops of one daemon."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def run(self, stop: asyncio.Event) -> int:
        """Run all loops until `stop`, then end them in reverse order."""
        parts = self._parts
        await parts.health.start()
        _log.info("health.listening", port=parts.health.port)
        try:
            await parts.api.start()
            _log.info("api.listening", port=parts.api.port)
            await parts.models.recover()
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(parts.watching.run(), name="watching")
                following = group.create_task(self._follow_workloads(), name="workloads")
                lag = group.create_task(self._measure_lag(), name="loop-lag")
                trimming = group.create_task(give_back(), name="memory")
                auditing = group.create_task(self._audit(), name="audit-loop")
                telling = group.create_task(parts.recorder.run(), name="events")
                paging = group.create_task(parts.paging.run(), name="paging")
                leading = group.create_task(self._lead(), name="elector")
                modelling = group.create_task(self._model(), name="model-loop")
                keeping = keep_days(
                    parts.settings.store.retention_days, parts.store, parts.clock, lambda: parts.elector.leading
                )
                ageing = group.create_task(keeping, name="retention")
                await stop.wait()
                _log.info("stopping")
                for task in (modelling, leading):
                    task.cancel()
                await asyncio.wait({modelling, leading}, timeout=parts.settings.engine.stop_seconds + 5)
                for task in (auditing, telling, feeding, following, lag, trimming, paging, ageing):
                    task.cancel()
        finally:
            await parts.api.stop()
            await parts.health.stop()
        _log.info("stopped")
        return 0

    async def _lead(self) -> None:
        await self._parts.watching.settled()
        await self._parts.first_model.wait()
        await self._parts.elector.run(self._term)

    async def _term(self, term: Term) -> None:
        """Pages are taken over before the first finding of the term is recorded; no repair waits for the guards."""
        await self._parts.paging.pager.activate()
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(self._warn_of_guards(), name="guards")
            await self._parts.leadership.lead(term)
            asking.cancel()

    async def _model(self) -> None:
        """The model is read while the mirrors are filled, which takes the server's time as well."""
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._parts.models.consider(), name="first-model")
            await self._parts.watching.settled()
            await asyncio.wait({reading}, timeout=_FIRST_READING_SECONDS if self._parts.models.in_force else None)
            gc.collect()
            gc.freeze()  # what is there now stays: the collector need not walk it again
            self._parts.first_model.set()
        await self._parts.models.run()

    async def _audit(self) -> None:
        await self._parts.watching.settled()
        await warn_of_rights(self._parts.session, self._parts.settings.namespace, self._parts.settings.lease.name)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stand_by(), name="stand-by")
            await self._parts.audits.run()

    async def _stand_by(self) -> None:
        """A replica without a term asks once: what it lacks, or its API server, is to be known before it must lead."""
        await self._parts.elector.pace.sleep(_STANDBY_SECONDS)
        if not self._parts.elector.epoch:
            await self._warn_of_guards()

    async def _warn_of_guards(self) -> None:
        parts, model = self._parts, self._parts.models.in_force
        compiled = model.compiled if model is not None else None
        await warn_of_guards(parts.session, parts.settings.namespace, parts.elector.pace, compiled)

    async def _follow_workloads(self) -> None:
        await self._parts.first_model.wait()
        await self._parts.workloads.watchers.run()

    async def _measure_lag(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.25)
            self._parts.metrics.loop_lag.set(max(0.0, time.monotonic() - before - 0.25))
