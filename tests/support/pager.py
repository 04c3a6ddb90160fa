"""A pager on a real store with time in a test's hands; and a way to die at any step."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from driftd.paging import DEFAULT_ROUTE, Condition, Destination, Machine, Pacing, Pager, Rules, Step, Windows
from driftd.store import Act, DeliveryRow, PageRow, Store
from driftd.telemetry import Metrics, Traces
from tests.support.frail_store import QUICK, crash
from tests.support.paging import HandClock, Incidents, Scripted

T = TypeVar("T")
EAGER = Pacing(per_second=1000.0, burst=1000.0)


class Killed(BaseException):
    """The process died here."""


@dataclass
class Fuse:
    """Burns one step shorter at each passing; at its end the process dies."""

    left: int = -1
    passed: int = 0

    def passes(self) -> None:
        self.passed += 1
        self.left -= 1
        if self.left == 0:
            raise Killed


class MortalStore(Store):
    """Dies before or after it has made something durable."""

    fuse: Fuse

    async def _submit(self, act: Act) -> None:
        self.fuse.passes()
        await super()._submit(act)
        self.fuse.passes()

    async def tell(self, pages: Sequence[PageRow], deliveries: Sequence[DeliveryRow] = ()) -> None:
        self.fuse.passes()
        await super().tell(pages, deliveries)
        self.fuse.passes()


@dataclass
class Service:
    """Whoever takes pages, over all lives of the process: dies with it before or after it took one."""

    fuse: Fuse
    incidents: Incidents = field(default_factory=Incidents)
    changes: list[str] = field(default_factory=list)

    def destination(self, name: str = "service") -> Scripted:
        one = Scripted(name)
        send = one.send

        async def mortal(step: Step, at: object) -> None:
            self.fuse.passes()
            await send(step, at)  # type: ignore[arg-type]
            if step.action.value == "change":
                self.changes.append(step.page.key)
            else:
                self.incidents.take(step.action.value, step.page.key)
            self.fuse.passes()

        one.send = mortal  # type: ignore[method-assign]
        return one


@dataclass
class Run:
    """One life of the process."""

    store: MortalStore
    pager: Pager
    clock: HandClock
    metrics: Metrics

    async def pass_(self, seconds: float, steps: int = 1) -> None:
        """Let time pass, and the pager see it."""
        for _ in range(steps):
            self.clock.pass_(seconds / steps)
            await self.pager.step()
            await self.pager.deliver()

    async def die(self) -> None:
        await crash(self.store)


async def begin(
    folder: Path,
    clock: HandClock,
    *destinations: Destination,
    routes: Mapping[str, Sequence[Destination]] | None = None,
    fuse: Fuse | None = None,
    rules: Rules | None = None,
    windows: Windows | None = None,
    conditions: Collection[Condition] = (),
    active: bool = True,
    traces: Traces | None = None,
) -> Run:
    """A pager on the store in `folder`, having taken over what is there.

    `destinations` are those of the general route, `routes` the others by name.
    """
    store = await MortalStore.open(folder / "s.db", clock, folder, QUICK)
    store.fuse = fuse or Fuse()
    run = replica(
        store,
        clock,
        *destinations,
        routes=routes,
        rules=rules,
        windows=windows,
        conditions=conditions,
        active=active,
        traces=traces,
    )
    await run.pager.step()
    return run


def replica(
    store: MortalStore,
    clock: HandClock,
    *destinations: Destination,
    routes: Mapping[str, Sequence[Destination]] | None = None,
    rules: Rules | None = None,
    windows: Windows | None = None,
    conditions: Collection[Condition] = (),
    active: bool = True,
    leading: bool = True,
    traces: Traces | None = None,
) -> Run:
    """A pager on a store that another one may use as well; what is recorded there is told to who leads."""
    metrics, leader = Metrics(), store.companion
    pager = Pager(
        store=store,
        clock=clock,
        metrics=metrics,
        traces=traces or Traces(),
        machine=Machine(windows or Windows(), rules or Rules(), lambda: "shared-eu-1"),
        destinations={
            name: [(one, EAGER) for one in found]
            for name, found in {DEFAULT_ROUTE: destinations, **(routes or {})}.items()
        },
        conditions=lambda: conditions,
        active=lambda: active,
        leading=lambda: leading,
    )
    store.companion = pager if leading else leader
    return Run(store, pager, clock, metrics)
