"""A stage for faults: driftd behind a fault proxy, labs that a test may break, and what driftd's records say."""

import asyncio
import signal
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from driftd.lab import Lab
from driftd.store import AuditRow, Past, ReadOnly, Verification
from driftd.values import Intent
from tests.oracle.replay import Key, Record
from tests.support.daemon import Daemon
from tests.support.kube import Kube
from tests.support.proxy import After, Fate, Proxy, Request, fault_proxy
from tests.support.stage import DRIFTD, MODELS, Body, Stage, install

EPOCH = "driftd.dev/epoch"
STEADY_LEASE = {
    "DRIFTD_LEASE__DURATION_SECONDS": "6",
    "DRIFTD_LEASE__RENEW_DEADLINE_SECONDS": "4",
    "DRIFTD_LEASE__RETRY_SECONDS": "0.5",
}
"""A busy machine alone must not cost a term: here only the faults of a test do."""
POLICIES = ("networking.k8s.io", "networkpolicies")


@dataclass(frozen=True)
class Evidence:
    """What a data directory's database holds."""

    rows: Sequence[AuditRow]
    findings: Sequence[Past]
    unsettled: Sequence[Intent]
    chain: Verification

    def about(self, name: str, namespace: str = "") -> list[Past]:
        """Lives of findings of objects with this name."""
        return [
            past
            for past in self.findings
            if past.seen.finding.ref.name == name and namespace in ("", past.seen.finding.ref.namespace)
        ]

    def kinds(self) -> Counter[str]:
        return Counter(row.kind for row in self.rows)


PATIENCE = 180.0
"""Seconds for a daemon to be ready: a second or two where the machine is idle, and never a reason to fail where not."""


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


async def evidence(records: Path | str) -> Evidence:
    """Read the database of a data directory, or at a URL: beside a daemon, or after one."""
    archive = ReadOnly.at(records if isinstance(records, str) else records / "driftd.sqlite", _Clock())
    try:
        rows: list[AuditRow] = []
        while batch := await archive.audit(after=rows[-1].seq if rows else 0, limit=2000):
            rows.extend(batch)
        findings = await archive.history(limit=10_000)
        return Evidence(rows, findings, await archive.unsettled(), await archive.verify())
    finally:
        await archive.close()


@dataclass
class Scene(Stage):
    """A stage whose daemon may be behind a proxy."""

    data: Path = Path()
    through: Proxy | None = None
    known: frozenset[str] = frozenset()

    @property
    def proxy(self) -> Proxy:
        assert self.through is not None, "this scene has no proxy"
        return self.through

    async def evidence(self) -> Evidence:
        return await evidence(self.data)

    async def begin(self) -> None:
        """Start a test's account: nothing in the way, everything canonical, what is open now known."""
        if self.through is not None:
            self.through.rules.clear()
            self.through.thaw()
            self.through.slow(0)
            self.through.refuse(refusing=False)
        await self.canonical(60.0)
        found = await self.evidence()
        self.known = frozenset(one.seen.finding.id for one in found.findings if one.seen.closed is None)
        await self.mark()

    async def ready(self) -> int:
        """What `/readyz` answers."""
        url = f"http://127.0.0.1:{self.daemon.port}/readyz"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status

    async def readiness(self) -> dict[str, str]:
        """The parts that `/readyz` tells of."""
        url = f"http://127.0.0.1:{self.daemon.port}/readyz"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            parts: dict[str, str] = (await answer.json())["parts"]
            return parts

    async def metric(self, line: str) -> float:
        """The value of the metric whose line begins so; nan where there is none."""
        for said in (await self.daemon.metrics()).splitlines():
            if said.startswith(line + " "):
                return float(said.rsplit(" ", 1)[1])
        return float("nan")

    async def sound(self, *, seconds: float = 60.0) -> Evidence:
        """Wait for the canonical state and whole records; then hold the account against what must always be so."""
        await self.canonical(seconds)

        last: list[str] = []

        async def recorded() -> bool:
            if await self.metric("driftd_store_ok") != 1:
                last[:] = ["the journal holds records that the database has not"]
                return False
            found = await self.evidence()
            loose = [one.seen.finding.summary for one in found.findings if self._is_new(one)]
            last[:] = [f"unsettled {one}" for one in found.unsettled] + [f"open {one}" for one in loose]
            return not last

        try:
            await self.until("every intent is settled and every finding closed", recorded, seconds)
        except AssertionError as error:
            raise AssertionError(f"{last}\n{error}") from None
        found = await self.evidence()
        assert found.chain.ok, found.chain
        assert not self.daemon.unhandled(), self.daemon.unhandled()
        # Beside the loop: the proxy lives there, and a proxy that stands still is a fault nobody ordered.
        assert await asyncio.to_thread(self.loosened) == []
        return found

    def _is_new(self, one: Past) -> bool:
        return one.seen.closed is None and is_drift(one) and one.seen.finding.id not in self.known

    def repairs(self) -> Counter[tuple[str, Key]]:
        """How often driftd wrote to what, since the mark."""
        return Counter((record.verb, record.key) for record in self.writes())

    def attempts(self) -> list[Record]:
        """driftd's writes since the mark, whatever came of them, those into its own namespace left out.

        What was sent before the mark and given up may be answered (504) long after it.
        """
        return [
            record
            for record in self.records()
            if record.user == DRIFTD
            and record.is_write
            and record.received >= self._marked
            and record.key.resource not in ("events", "selfsubjectaccessreviews", "selfsubjectrulesreviews")
            and record.key.namespace != "driftd"
        ]

    async def epoch(self) -> int:
        """The epoch in the lease, 0 without one."""
        lease = await self.kube.find("Lease", "driftd", "driftd")
        return int(((lease or {}).get("metadata", {}).get("annotations") or {}).get(EPOCH, 0))

    async def leads(self, above: int, seconds: float = 40.0) -> None:
        """Wait for a term of a newer epoch."""

        async def newer() -> bool:
            return await self.epoch() > above

        await self.until(f"an epoch above {above}", newer, seconds)


def is_drift(past: Past) -> bool:
    """A finding that a repair ends; others (a kind nobody understands, a finalizer) stay open until people act."""
    return past.seen.finding.type.value in {"missing", "modified", "unexpected", "blocked", "undeletable"}


@asynccontextmanager
async def scene(
    lab: Lab,
    data: Path,
    *,
    proxied: bool = True,
    models: Path = MODELS,
    env: dict[str, str] | None = None,
) -> AsyncIterator[Scene]:
    """driftd with the shipped rights on a lab, behind a proxy unless told otherwise, canonical and marked."""
    data.mkdir(parents=True, exist_ok=True)
    async with Kube.connect(Path(lab.kubeconfig)) as kube, fault_proxy(lab, data) as proxy:
        await install(kube)
        config = Path(await lab.service_account_kubeconfig("driftd", "driftd", server=proxy.url if proxied else None))
        daemon = Daemon(kubeconfig=config, models=models, data=data, env={**STEADY_LEASE, **(env or {})})
        one = Scene(lab, kube, daemon, models, data=data, through=proxy if proxied else None)
        try:
            await daemon.start(ready=False)
            await daemon.wait_ready(PATIENCE)
            await one.begin()
            yield one
        finally:
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.send(signal.SIGCONT)
                await daemon.stop()


# -- deeds at a write -------------------------------------------------------------------------------------------------


def sending(daemon: Daemon, number: signal.Signals, then: Fate) -> After:
    """Send the daemon a signal while a write of its own is held; then let the write pass, or lose it."""

    async def deed(_request: Request) -> Fate:
        daemon.send(number)
        return then

    return deed


# -- harm by the administrator ----------------------------------------------------------------------------------------

OPEN: Body = {"spec": {"egress": [{}]}}
"""A merge patch that opens a policy's egress."""


def allow_all(namespace: str, name: str) -> Body:
    """A policy that nobody ordered and that opens everything in its namespace."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {}, "ingress": [{}], "egress": [{}], "policyTypes": ["Ingress", "Egress"]},
    }


# -- a database that is away ------------------------------------------------------------------------------------------


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Somebody else's write lock on a SQLite file, for the length of a block."""
    other = sqlite3.connect(database, isolation_level=None, timeout=10)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()
