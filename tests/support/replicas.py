"""Replicas of driftd on one PostgreSQL with a stand-in for PagerDuty, and somebody who tampers at a steady pace.

Each is a process of its own with the shipped rights and settings.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from driftd.cluster import LeaseSettings
from driftd.lab import Lab
from driftd.paging import Page
from driftd.paging.pages import page_of
from driftd.store import AuditRow, ReadOnly
from tests.oracle.replay import Record
from tests.support.daemon import Daemon, shipped
from tests.support.kube import Kube
from tests.support.pace import at_a_pace
from tests.support.pagerduty import StandIn
from tests.support.platform import write_platform
from tests.support.postgres import Server
from tests.support.records import SteppingClock
from tests.support.stage import DRIFTD, Body, Stage, compiled_models, forget_other_databases, install

TAMPERINGS_PER_SECOND = 20
NAMESPACES = 10
OPENED = (53, 443, 1024, 5432, 6379, 8080, 8443, 9090, 15_021, 30_000)
"""The ports that tamperings open, one after the other: some that the model uses, some that it never names."""
SHIPPED_LEASE = LeaseSettings()
Policy = tuple[str, str]
"""Namespace and name."""


@dataclass
class Replicas:
    """`stage.daemon` is the replica that was started last; `running` has all that were not stopped."""

    stage: Stage
    url: str
    stand_in: StandIn
    folder: Path
    kubeconfig: Path
    started: list[Daemon] = field(default_factory=list)
    running: dict[str, Daemon] = field(default_factory=dict)

    @property
    def policies(self) -> list[Policy]:
        """Every NetworkPolicy of the model, neighbours in different namespaces."""
        refs = [ref for one in compiled_models(self.stage.models).governed.values() for ref in one.objects]
        return sorted(
            ((ref.namespace, ref.name) for ref in refs if ref.kind == "NetworkPolicy"), key=lambda one: one[::-1]
        )

    async def start(self, *, kubeconfig: Path | None = None, env: Mapping[str, str] | None = None) -> Daemon:
        """One more replica, ready: it leads, or knows who does. Its way to the API server may be one of its own."""
        name = f"replica-{len(self.started) + 1}"
        env = {
            **shipped(),
            "DRIFTD_STORE__URL": self.url,
            "DRIFTD_PAGING__PAGERDUTY_KEY": next(iter(self.stand_in.keys)),
            "DRIFTD_PAGING__PAGERDUTY_URL": self.stand_in.url,
            "DRIFTD_PAGING__CA_FILE": str(self.stand_in.ca_file),
            **(env or {}),
        }
        daemon = Daemon(
            kubeconfig=kubeconfig or self.kubeconfig,
            models=self.stage.models,
            data=self.folder / name,
            identity=name,
            env=env,
            patience=300.0,
        )
        self.started.append(daemon)
        await daemon.start()
        self.stage.daemon = self.running[name] = daemon
        return daemon

    async def leader(self) -> str:
        """The name of the replica that holds the lease; empty for nobody."""
        return await holder(self.stage.kube)

    async def stop(self, name: str) -> None:
        """SIGTERM, as a rolling update ends a pod."""
        assert await self.running.pop(name).stop(40.0) == 0

    async def roll(self) -> None:
        """A rolling update of both: a new one is ready before an old one goes, the leader first."""
        old = sorted(self.running, key=(await self.leader()).__eq__, reverse=True)
        for name in old:
            await self.start()
            await self.stop(name)

    @asynccontextmanager
    async def archive(self) -> AsyncIterator[ReadOnly]:
        """The replicas' one database."""
        archive = ReadOnly.at(self.url, SteppingClock())
        try:
            yield archive
        finally:
            await archive.close()

    async def pages(self) -> list[Page]:
        """Every page so far, the newest first."""
        async with self.archive() as archive:
            return [page_of(one.page) for one in await archive.pages(limit=10_000)]

    async def at_rest(self) -> bool:
        """Whether every intent has an outcome and no finding is open."""
        async with self.archive() as archive:
            return not await archive.unsettled() and not await archive.open_findings()

    async def chain(self) -> "Chain":
        """The evidence as it stands."""
        async with self.archive() as archive:
            rows: list[AuditRow] = []
            while batch := await archive.audit(after=rows[-1].seq if rows else 0, limit=2000):
                rows.extend(batch)
            epochs = [row.epoch for row in rows if row.kind == "leadership.taken"]
            return Chain((await archive.verify()).ok, len(rows), epochs)


@dataclass(frozen=True)
class Chain:
    """`whole`: it verifies. `epochs` are those of the terms, in the order of their rows."""

    whole: bool
    rows: int
    epochs: list[int]


@asynccontextmanager
async def replicas(lab: Lab, server: Server, folder: Path, count: int = 2) -> AsyncIterator[Replicas]:
    """So many of them over a platform of a hundred NetworkPolicies, which is gone from the lab afterwards."""
    models = folder / "models"
    names = write_platform(models, NAMESPACES)
    async with AsyncExitStack() as stack:
        kube = await stack.enter_async_context(Kube.connect(Path(lab.kubeconfig)))
        stand_in = await stack.enter_async_context(StandIn(folder))
        await install(kube)
        await forget_other_databases(lab)
        kubeconfig = Path(await lab.service_account_kubeconfig("driftd", "driftd"))
        nobody = Daemon(kubeconfig=kubeconfig, models=models, data=folder / "nobody")
        one = Replicas(Stage(lab, kube, nobody, models), server.new_database(), stand_in, folder, kubeconfig)
        try:
            for _ in range(count):
                await one.start()
            await one.stage.canonical(60.0)
            yield one
            faults = [fault for daemon in one.started for fault in daemon.unhandled()]
            assert not faults, faults
        finally:
            for name in list(one.running):
                await one.stop(name)
            for name in names:
                if await kube.find("Namespace", "", name) is not None:
                    await kube.delete("Namespace", "", name)


@asynccontextmanager
async def tampering(one: Replicas, targets: Sequence[Policy]) -> AsyncIterator[Callable[[], int]]:
    """The administrator opens one policy after the other, twenty a second, until the block ends."""

    async def strike(number: int) -> None:
        namespace, name = targets[number % len(targets)]
        await one.stage.kube.merge("NetworkPolicy", namespace, name, opened(number))

    async with at_a_pace(TAMPERINGS_PER_SECOND, strike) as count:
        yield count


async def holder(kube: Kube) -> str:
    """Who holds the lease; empty for nobody."""
    lease = await kube.find("Lease", "driftd", "driftd")
    return str((lease or {}).get("spec", {}).get("holderIdentity") or "")


def opened(number: int) -> Body:
    """A merge patch that lets the selected pods reach, and be reached by, everybody on a port."""
    rule = {"ports": [{"port": OPENED[number % len(OPENED)], "protocol": "TCP"}]}
    return {"spec": {"policyTypes": ["Ingress", "Egress"], "ingress": [rule], "egress": [rule]}}


def busiest_second(records: Sequence[Record]) -> int:
    """The most of these requests that ended within any one second."""
    ends = sorted(record.done.timestamp() for record in records)
    return max((sum(1 for end in ends if start <= end < start + 1.0) for start in ends), default=0)


def share_open(records: Sequence[Record], policy: Policy, since: datetime) -> float:
    """How much of the time until its last repair an object was as somebody else had left it, by the audit log."""
    mine = [one for one in records if (one.key.namespace, one.key.name) == policy and one.is_write and one.succeeded]
    mine.sort(key=lambda one: int(((one.response or {}).get("metadata") or {}).get("resourceVersion", 0)))
    spent, at, wrong = {True: 0.0, False: 0.0}, since, False
    for record in mine:
        spent[wrong] += max(0.0, (record.done - at).total_seconds())
        at, wrong = max(at, record.done), record.user != DRIFTD
    return spent[True] / (spent[True] + spent[False])
