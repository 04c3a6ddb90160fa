"""Two replicas on one PostgreSQL: one leads, the other stands by; either may go, and so may the database."""

import asyncio
import signal
from pathlib import Path

import pytest

from driftd.lab import Lab
from driftd.store import ReadOnly
from tests.support.daemon import Daemon
from tests.support.faulty import OPEN, STEADY_LEASE, allow_all
from tests.support.kube import Kube
from tests.support.postgres import Server
from tests.support.records import SteppingClock
from tests.support.replicas import holder
from tests.support.stage import MODELS, Stage, install

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]


async def led_by(stage: Stage, name: str, seconds: float = 40.0) -> None:
    async def holds() -> bool:
        return await holder(stage.kube) == name

    await stage.until(f"{name} leads", holds, seconds)


async def test_a_replica_takes_over_and_the_evidence_stays_one_chain(lab: Lab, server: Server, tmp_path: Path) -> None:
    url = server.new_database()
    async with Kube.connect(Path(lab.kubeconfig)) as kube:
        await install(kube)
    config = Path(await lab.service_account_kubeconfig("driftd", "driftd"))
    env = {**STEADY_LEASE, "DRIFTD_STORE__URL": url}
    one, two = (
        Daemon(kubeconfig=config, models=MODELS, data=tmp_path / name, identity=name, env=env, patience=120.0)
        for name in ("one", "two")
    )
    async with Kube.connect(Path(lab.kubeconfig)) as kube:
        stage = Stage(lab, kube, one, MODELS)
        async with one:
            await stage.canonical(60.0)
            async with two:
                await stage.mark()
                await kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
                await stage.canonical()
                await one.kill()
                await kube.create(allow_all("acme-prod", "hole"))
                await led_by(stage, "two")
                await stage.canonical(30.0)

                await asyncio.to_thread(server.stop)
                await kube.merge("NetworkPolicy", "globex-prod", "default-deny", OPEN)
                await stage.canonical()
                await asyncio.to_thread(server.start)
                await one.start()
                assert await two.stop() == 0, "SIGTERM gives the lease back"
                await led_by(stage, "one", 5.0)
                await kube.delete("NetworkPolicy", "acme-prod", "web-ingress")
                await stage.canonical()
                await _recorded(stage, url)
                one.send(signal.SIGTERM)
                assert stage.loosened() == []
                assert not one.unhandled(), one.unhandled()
                assert not two.unhandled(), two.unhandled()
                for text in (one.log_path.read_text(), two.log_path.read_text()):
                    assert url not in text
                    assert "not-for-anybodys-eyes" not in text


async def _recorded(stage: Stage, url: str) -> None:
    """Both replicas' repairs are in one history, and the chain is whole."""
    archive = ReadOnly.at(url, SteppingClock())
    try:

        async def closed() -> bool:
            found = {past.seen.finding.ref.name: past.seen.closed for past in await archive.history(limit=1000)}
            return all(found.get(name) for name in ("default-deny", "hole", "web-ingress"))

        await stage.until("both replicas' repairs are recorded", closed)
        rows = await archive.audit(limit=100_000)
        taken = [row.epoch for row in rows if row.kind == "leadership.taken"]
        assert len(taken) >= 3
        assert taken == sorted(taken)
        assert (await archive.verify()).ok
        assert await archive.unsettled() == []
    finally:
        await archive.close()
