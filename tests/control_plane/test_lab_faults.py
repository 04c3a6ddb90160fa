"""Parts that are stopped, killed, frozen and started again, and what a client sees of it; on a lab of their own."""

import asyncio
import uuid
from collections.abc import Iterator

import aiohttp
import pytest

from driftd.lab import AuditLog, Lab, PartFailedError
from driftd.lab.owner import is_alive
from tests.support.control_plane import run_apart
from tests.support.lab_requests import Body, api, until


@pytest.fixture(scope="module")
def fragile(lab: Lab) -> Iterator[Lab]:
    """A second lab beside the shared one: these tests break it, and it is whole again after each."""
    lab = run_apart(Lab.launch())
    yield lab
    run_apart(lab.close())


def config_map() -> Body:
    return {"metadata": {"name": f"c-{uuid.uuid4().hex[:8]}"}}


async def write_and_read(lab: Lab) -> bool:
    async with api(lab.kubeconfig) as admin:
        made = await admin.create("/api/v1/namespaces/default/configmaps", config_map())
        found = await admin.get(f"/api/v1/namespaces/default/configmaps/{made['metadata']['name']}")
    return bool(found["metadata"]["uid"] == made["metadata"]["uid"])


async def test_an_api_server_killed_and_started_again_keeps_address_and_data(fragile: Lab) -> None:
    server, before = fragile.server, fragile.apiserver.pid
    async with api(fragile.kubeconfig) as admin:
        made = await admin.create("/api/v1/namespaces/default/configmaps", config_map())
    await fragile.apiserver.kill()
    assert before is not None
    assert not is_alive(before)
    async with api(fragile.kubeconfig) as admin:
        with pytest.raises(aiohttp.ClientConnectorError):
            await admin.get("/readyz")
    await fragile.apiserver.start()
    assert fragile.server == server
    async with api(fragile.kubeconfig) as admin:
        found = await admin.get(f"/api/v1/namespaces/default/configmaps/{made['metadata']['name']}")
    assert found["metadata"]["uid"] == made["metadata"]["uid"]


async def test_a_stopped_api_server_writes_its_audit_log_on_where_it_ended(fragile: Lab) -> None:
    log = AuditLog(*fragile.audit_logs)
    async with api(fragile.kubeconfig) as admin:
        first = await admin.create("/api/v1/namespaces/default/configmaps", config_map())
    assert any(record.ref and record.ref.name == first["metadata"]["name"] for record in log.read())
    await fragile.apiserver.stop()
    await fragile.apiserver.start()
    async with api(fragile.kubeconfig) as admin:
        second = await admin.create("/api/v1/namespaces/default/configmaps", config_map())
    names = [record.ref.name for record in log.read() if record.ref]
    assert second["metadata"]["name"] in names
    assert first["metadata"]["name"] not in names


async def test_a_frozen_api_server_takes_connections_and_answers_nothing_until_it_is_thawed(fragile: Lab) -> None:
    await fragile.apiserver.freeze()
    try:
        async with api(fragile.kubeconfig, seconds=1) as admin:
            with pytest.raises(TimeoutError):
                await admin.get("/api/v1/namespaces/default")
    finally:
        await fragile.apiserver.thaw()
    await until(lambda: write_and_read(fragile))


async def test_etcd_killed_and_started_again_keeps_what_was_written(fragile: Lab) -> None:
    async with api(fragile.kubeconfig) as admin:
        made = await admin.create("/api/v1/namespaces/default/configmaps", config_map())
    await fragile.etcd.kill()
    await fragile.etcd.start()
    await fragile.apiserver.wait_ready()
    async with api(fragile.kubeconfig) as admin:
        found = await admin.get(f"/api/v1/namespaces/default/configmaps/{made['metadata']['name']}")
    assert found["metadata"]["uid"] == made["metadata"]["uid"]


async def test_without_the_controller_manager_a_new_namespace_stays_empty_until_it_is_back(fragile: Lab) -> None:
    await fragile.controller_manager.stop()
    name = f"t-{uuid.uuid4().hex[:10]}"
    async with api(fragile.kubeconfig) as admin:
        await admin.create("/api/v1/namespaces", {"metadata": {"name": name}})
        await asyncio.sleep(0.5)
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        assert (await admin.call("GET", account))[0] == 404
        await fragile.controller_manager.start()

        async def there() -> bool:
            return (await admin.call("GET", account))[0] == 200

        await until(there)


async def test_after_compaction_and_a_restart_pages_and_watches_from_the_past_are_gone(fragile: Lab) -> None:
    maps = "/api/v1/namespaces/default/configmaps"
    async with api(fragile.kubeconfig) as admin:
        for _ in range(3):
            made = await admin.create(maps, config_map())
        page = await admin.get(f"{maps}?limit=1")
        await admin.create(maps, config_map())
    assert await fragile.compact() > int(page["metadata"]["resourceVersion"])
    assert await fragile.compact() > 0  # a second time there may be nothing to do, which is no fault
    await fragile.apiserver.stop()
    await fragile.apiserver.start()
    async with api(fragile.kubeconfig) as admin:
        code, answer = await admin.call("GET", f"{maps}?limit=1&continue={page['metadata']['continue']}")
        assert (code, answer["reason"]) == (410, "Expired")
        old = int(made["metadata"]["resourceVersion"]) - 1
        _, event = await admin.call("GET", f"{maps}?watch=1&resourceVersion={old}&timeoutSeconds=2")
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


async def test_an_api_server_with_clients_that_watch_stops_in_seconds(fragile: Lab) -> None:
    code = await fragile.apiserver.stop()
    await fragile.apiserver.start()
    assert code == 0  # and not -9, which is what a server that outlasts its grace of 10 s ends with


async def test_a_second_api_server_shares_objects_and_writes_an_audit_log_of_its_own(fragile: Lab) -> None:
    second = await fragile.add_apiserver()
    assert second.url != fragile.server
    async with api(fragile.kubeconfig) as admin:
        made = await admin.create("/api/v1/namespaces/default/configmaps", config_map())
    path = f"/api/v1/namespaces/default/configmaps/{made['metadata']['name']}"
    there = fragile.kubeconfig_for("admin", ("system:masters",), server=second.url)
    async with api(there) as admin:
        assert (await admin.get(path))["metadata"]["uid"] == made["metadata"]["uid"]
    records = AuditLog(fragile.audit_logs[1]).read()
    assert any(record.ref and record.ref.name == made["metadata"]["name"] for record in records)
    await fragile.apiserver.kill()
    async with api(there) as admin:
        assert (await admin.get(path))["metadata"]["uid"] == made["metadata"]["uid"]
    await fragile.apiserver.start()


async def test_a_part_that_cannot_start_says_why(fragile: Lab) -> None:
    await fragile.controller_manager.stop()
    kubeconfig = fragile.data_dir / "pki" / "controller-manager.kubeconfig"
    kept = kubeconfig.read_bytes()
    kubeconfig.write_text("this is no kubeconfig")
    try:
        with pytest.raises(
            PartFailedError, match="kube-controller-manager ended with code 1 before it was ready"
        ) as told:
            await fragile.controller_manager.start()
        assert "couldn't get version/kind" in told.value.tail or "cannot unmarshal" in told.value.tail
    finally:
        kubeconfig.write_bytes(kept)
    await fragile.controller_manager.start()
