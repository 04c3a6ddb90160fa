"""A model loop on a real store, with a source that holds what the test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from driftd.compile import Compiled
from driftd.engine import Approvals, CompiledCache, InForce, ModelLoop
from driftd.source import LastGood, Revision, SourceError, SourceUnreadable, content_name
from driftd.store import Store, StoreUnreadable
from driftd.telemetry import Metrics, Traces
from driftd.values import Clock
from tests.support.model_texts import CLUSTER, PLAN, environment, files
from tests.support.spans import InMemory

BASE = {"cluster.yaml": CLUSTER, "plans.yaml": PLAN}
ACME = {"acme.yaml": environment("acme-prod", "acme")}
NEWER_ACME = {"acme.yaml": environment("acme-prod", "acme", port=9090)}
BROKEN = {"acme.yaml": ACME["acme.yaml"].replace("plan: shared", "plan: nowhere")}
GLOBEX = {"globex.yaml": environment("globex-prod", "globex")}
NEWER_GLOBEX = {"globex.yaml": environment("globex-prod", "globex", port=9090)}
MANY = {f"t{number}.yaml": environment(f"t{number}-prod", f"t{number}") for number in range(12)}


class FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 6, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


class FrailStore(Store):
    """A store that cannot be read for a while."""

    unreadable = ""

    async def recall(self, key: str) -> str | None:
        if self.unreadable:
            raise StoreUnreadable(self.unreadable)
        return await super().recall(key)

    async def recall_all(self, prefix: str) -> dict[str, str]:
        if self.unreadable:
            raise StoreUnreadable(self.unreadable)
        return await super().recall_all(prefix)


class Scripted:
    """A source whose next read is what the test says."""

    def __init__(self) -> None:
        self.texts: Mapping[str, str] | None = {}
        self.refusal: SourceError | None = None

    async def read(self) -> Revision:
        if self.refusal is not None:
            raise self.refusal
        if self.texts is None:
            raise SourceUnreadable("models", "gone")
        found = files(self.texts)
        return Revision(found, content_name(found))

    async def changes(self) -> AsyncIterator[None]:
        while True:
            await asyncio.sleep(3600)
            yield


class Scene:
    """One replica's model loop, and what it accepted."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        *,
        source: Scripted | None = None,
        clock: Clock | None = None,
        signed: bool = False,
        descends: Callable[[str, str], Awaitable[bool]] | None = None,
    ) -> None:
        clock = clock or FixedClock()
        self.folder = folder
        self.store = store
        self.spans = InMemory()
        self.metrics = Metrics()
        self.source = source or Scripted()
        self.accepted: list[tuple[str, str]] = []
        self.pending: dict[str, int] = {}
        self.waiting, self.settled = asyncio.Event(), asyncio.Event()
        self.settled.set()
        self.loop = ModelLoop(
            source=self.source,
            last_good=LastGood(folder),
            cache=CompiledCache(folder),
            store=store,
            clock=clock,
            metrics=self.metrics,
            traces=Traces(self.spans),
            own_namespace="driftd",
            approvals=Approvals(store, clock),
            settled=self._settled,
            pending=self._pending,
            prepare=self._prepare,
            accepted=self._accepted,
            descends=descends,
            signed=signed,
        )

    async def _settled(self) -> None:
        self.waiting.set()
        await self.settled.wait()

    def _pending(self, _before: Compiled | None, _after: Compiled) -> Mapping[str, int]:
        return self.pending

    async def _prepare(self, _before: InForce | None, _after: InForce) -> None:
        return

    def _accepted(self, before: InForce | None, after: InForce) -> None:
        self.accepted.append((before.commit if before else "", after.commit))

    async def restarted(self) -> "Scene":
        """The same replica after a start."""
        again = Scene(self.folder, self.store, source=self.source)
        await again.loop.recover()
        return again

    @asynccontextmanager
    async def running(self, seconds: float = 10.0) -> AsyncIterator[None]:
        """The loop at work by itself, for so long at most."""
        task = asyncio.create_task(self.loop.run())
        try:
            async with asyncio.timeout(seconds):
                yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def offer(self, *texts: Mapping[str, str]) -> str:
        """Let the source hold these files; returns why they are held, empty when they are in force."""
        self.source.texts = {path: text for part in texts for path, text in part.items()}
        await self.loop.consider()
        return self.loop.status.held

    async def reaches_its_own(self) -> None:
        """It takes the lead, and what it has in force is what the leader before it had."""
        assert self.loop.in_force is not None
        assert await self.loop.reaches(self.loop.in_force.commit, 1.0)

    def loads(self) -> list[tuple[object, object]]:
        """Of each load that left a trace the revision and its outcome."""
        assert all(one.name == "driftd.model.load" and one.ended for one in self.spans.made)
        attributes = [one.attributes for one in self.spans.made]
        return [(one["driftd.model.revision"], one["driftd.outcome"]) for one in attributes]

    def governed(self) -> list[str]:
        return list(self.loop.in_force.compiled.governed) if self.loop.in_force else []

    def saying(self, namespace: str) -> bytes:
        """What a governed namespace must hold."""
        assert self.loop.in_force is not None
        return b"".join(sorted(one.raw for one in self.loop.in_force.compiled.governed[namespace].objects.values()))

    def kept_back(self) -> tuple[str, ...]:
        assert self.metrics.model_quarantined._value.get() == len(self.loop.status.quarantined)
        return self.loop.status.quarantined

    def rolled_out(self) -> bool:
        return self.loop.in_force is not None and self.loop.in_force.rolled_out

    def orphaned(self) -> list[str]:
        return list(self.loop.in_force.orphaned) if self.loop.in_force else []
