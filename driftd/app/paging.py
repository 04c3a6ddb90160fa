"""Paging wired: settings into destinations, the daemon's own state into conditions."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import SecretStr

from driftd.app.evidence import LostEvidence
from driftd.app.rollouts import Rollouts
from driftd.app.sight import away, blind_kinds, crowded, kept_back, missing_workloads, stuck_judge, unheld_orphans
from driftd.app.system import SystemClock
from driftd.app.workloads import LiveWorkloads
from driftd.cluster import ClusterError, Elector, Mirror
from driftd.drift import FightBreaker
from driftd.engine import ModelLoop, Pauses
from driftd.paging import (
    DEFAULT_ROUTE,
    About,
    Alertmanager,
    Condition,
    Destination,
    Links,
    Machine,
    MaintenanceFile,
    Pacing,
    PageClass,
    Pager,
    PagerDuty,
    Route,
    Rules,
    Windows,
    about_object,
    line,
)
from driftd.settings import PagingSettings, Settings
from driftd.store import Store
from driftd.telemetry import Metrics, Traces
from driftd.values import Clock, Resource, Scope, scope_of

_MAINTENANCE_SECONDS = 5.0
_UNKNOWN_SECONDS = 30.0
"""A replica that has just begun, and cannot learn who leads, leaves the paging to others for so long."""
_LOOK_SECONDS = 1.0
_SETTLE_SECONDS = 0.25
_ALERTMANAGER_PACING = Pacing(per_second=20.0, burst=50.0, settle_seconds=45.0)
"""Alertmanager waits 30 s before it tells of a new group (`group_wait`), and is silent about what is over by then."""


_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Inside:
    """What pages are about, besides findings."""

    mirror: Mirror
    workloads: LiveWorkloads
    models: ModelLoop
    breaker: FightBreaker
    pauses: Pauses
    store: Store
    elector: Elector
    clock: Clock
    began: float
    """The monotonic second of the start."""

    @property
    def cluster(self) -> str:
        """The cluster's name; empty until there is a model."""
        model = self.models.in_force
        return model.compiled.cluster if model else ""

    def plan_of(self, namespace: str) -> str:
        model = self.models.in_force
        governed = model.compiled.governed.get(namespace) if model else None
        return governed.plan if governed else ""

    def tenant_of(self, namespace: str) -> str | None:
        """The tenant of a governed namespace."""
        model = self.models.in_force
        governed = model.governed(Scope(namespace)) if model else None
        return governed.tenant if governed else None

    @property
    def paging(self) -> bool:
        """Whether this replica is the one to page: it leads, or nobody else is known to.

        Where two take themselves for it, pages have the same keys: one incident.
        """
        if not self.elector.looked and self.clock.monotonic() < self.began + _UNKNOWN_SECONDS:
            return False
        return not self.elector.led_by_other

    def _beyond(self) -> list[tuple[Resource, str]]:
        return sorted({*self.mirror.abridged(), *self.mirror.left_out(), *self.workloads.mirror.beyond})

    def conditions(self) -> list[Condition]:
        """What is wrong with driftd's own powers at this moment."""
        found = [
            *blind_kinds(self.mirror.states()),
            *crowded(self._beyond(), self.tenant_of),
            *missing_workloads(self.workloads.mirror.states()),
            *stuck_judge(*self.workloads.stuck_seconds),
            *away(self.store.state),
        ]
        status = self.models.status
        if status.held:
            found.append(Condition(PageClass.HELD, _MODEL, f"{line(status.newest, 80)}: {line(status.held)}"))
        found.extend(kept_back(status.quarantined))
        for fight in self.breaker.fights(self.clock.monotonic()):
            model = self.models.in_force
            tenant = model.tenant_of(scope_of(fight.ref)) if model else ""
            # In tens: each new summary is a new version of the page, and must not be written at every look.
            share = f"open about {10 * round(10 * fight.open_share)} % of the time"
            summary = f"somebody changes it back each time, {share}; `driftd history` names who claims to"
            found.append(Condition(PageClass.FIGHT, about_object(fight.ref, tenant), summary))
        for pause in self.pauses.all():
            tenant = self.tenant_of(pause.namespace) or ""
            about = About(f"pause {pause.namespace}", "Namespace", pause.namespace, pause.namespace, tenant)
            until = pause.until.strftime("%H:%M")
            summary = f"paused until {until} UTC by {line(pause.by, 80)}: {line(pause.reason, 120)}"
            found.append(Condition(PageClass.PAUSED, about, summary))
        orphans, model = self.models.orphans, self.models.in_force
        lost = [name for name in orphans.unusable if model is None or model.governed(Scope(name)) is None]
        return [*found, *unheld_orphans(orphans.unknown, lost)]


_MODEL = About("model", "Model", "newest revision")


class Paging:
    """The pager of a daemon, with what keeps its rules up to date."""

    def __init__(self, settings: PagingSettings, inside: Inside, metrics: Metrics, traces: Traces) -> None:
        self._maintenance = MaintenanceFile(settings.maintenance_file)
        rules = Rules(
            [Route(one.name, one.tenants, one.plans) for one in settings.routes],
            inside.plan_of,
            lambda: self._maintenance.windows,
        )
        self._elector = inside.elector
        self._evidence = LostEvidence(inside.store, inside.clock)
        self.rollouts = Rollouts(inside.mirror.get, inside.clock)
        self.pager = Pager(
            store=inside.store,
            clock=inside.clock,
            metrics=metrics,
            traces=traces,
            machine=Machine(windows_of(settings), rules, lambda: inside.cluster),
            destinations=destinations_of(settings, lambda: inside.cluster, inside.clock),
            conditions=lambda: [*inside.conditions(), *self._evidence.conditions()],
            active=lambda: inside.paging,
            leading=lambda: inside.elector.leading,
            rollouts=self.rollouts,
        )

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look(), name="who-leads")
            group.create_task(self.pager.run(), name="pager")
            group.create_task(self._refresh(), name="maintenance")
            group.create_task(self._evidence.run(), name="evidence")
            group.create_task(self._settle(), name="rollouts")

    async def _look(self) -> None:
        """Who leads is known as soon as the API server answers, long before this replica may lead."""
        while not self._elector.competes:
            try:
                await self._elector.look()
            except ClusterError as error:
                _log.info("page.leader_unknown", why=str(error))
            await asyncio.sleep(_LOOK_SECONDS)

    async def _refresh(self) -> None:
        while True:
            await self._maintenance.refresh()
            await asyncio.sleep(_MAINTENANCE_SECONDS)

    async def _settle(self) -> None:
        while True:
            self.rollouts.settle()
            await asyncio.sleep(_SETTLE_SECONDS)


def windows_of(settings: PagingSettings) -> Windows:
    """How long each class of page waits."""
    return Windows(
        crossing=settings.crossing_seconds,
        loosening=settings.loosening_seconds,
        tightening=settings.tightening_seconds,
        condition=settings.condition_seconds,
        gather=settings.crossing_seconds / 2,
        resolve=settings.resolve_seconds,
        storm=settings.storm_seconds,
        storm_pages=settings.storm_pages,
    )


def links_of(settings: PagingSettings) -> Links:
    """Where pages lead."""
    return Links(runbooks=settings.runbooks_url, trace=settings.trace_url)


def destinations_of(
    settings: PagingSettings, cluster: Callable[[], str], clock: Clock
) -> Mapping[str, Sequence[tuple[Destination, Pacing]]]:
    """Whom each route tells: a key of its own, or else the general one; and every Alertmanager."""
    links = links_of(settings)

    def pagerduty(name: str, key: SecretStr, file: Path | None) -> list[tuple[Destination, Pacing]]:
        if not key.get_secret_value() and file is None:
            return []
        one = PagerDuty(
            name=name,
            key=lambda: key_of(key, file),
            cluster=cluster,
            links=links,
            now=clock.now,
            base_url=settings.pagerduty_url,
            timeout_seconds=settings.timeout_seconds,
            ca_file=settings.ca_file,
        )
        return [(one, Pacing())]

    alertmanagers: list[tuple[Destination, Pacing]] = [
        (
            Alertmanager(
                url=url,
                cluster=cluster,
                links=links,
                timeout_seconds=settings.timeout_seconds,
                ca_file=settings.ca_file,
            ),
            _ALERTMANAGER_PACING,
        )
        for url in settings.alertmanager_urls
    ]
    general = pagerduty("pagerduty", settings.pagerduty_key, settings.pagerduty_key_file)
    found = {DEFAULT_ROUTE: [*general, *alertmanagers]}
    for route in settings.routes:
        own = pagerduty(f"pagerduty {route.name}", route.pagerduty_key, route.pagerduty_key_file)
        found[route.name] = [*(own or general), *alertmanagers]
    return found


def key_of(key: SecretStr, file: Path | None) -> SecretStr:
    """The key itself, or what its file holds now; raises OSError."""
    return SecretStr(file.read_text("utf-8").strip()) if file is not None else key


def trial_destinations(settings: Settings) -> list[Destination]:
    """Every destination once, for a test without a daemon."""
    routes = destinations_of(settings.paging, lambda: "", SystemClock())
    found = {one.name: one for destinations in routes.values() for one, _ in destinations}
    return list(found.values())
