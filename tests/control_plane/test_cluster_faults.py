"""What a real API server and etcd do to a client when they restart, forget, refuse and lose power."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from driftd.cluster import (
    Gone,
    Kubeconfig,
    Mirror,
    NotFound,
    Reflector,
    ReflectorSettings,
    Session,
    Timeouts,
    Unauthorized,
)
from driftd.drift import KindState
from driftd.lab import Lab
from driftd.values import Replace, Result
from tests.support.cluster import NETPOL, spec_digest
from tests.support.live import (
    NETPOLS,
    PACE,
    create,
    create_namespace,
    full,
    ref_of,
    running,
    truth_of,
    until,
    writer_of,
)

pytestmark = pytest.mark.control_plane
SETTINGS = ReflectorSettings(server_timeout=(60.0, 60.0), silence=20.0, page_limit=5)


@pytest.fixture
async def own_lab(lab: Lab) -> AsyncIterator[Lab]:
    """A control plane that a test may break; asking for `lab` first settles whether one can be had."""
    async with Lab.start(f"faults-{secrets.token_hex(2)}") as own:
        yield own


async def test_a_restart_of_the_server_costs_no_event_and_a_list_only_where_history_is_gone(own_lab: Lab) -> None:
    async with Session(Kubeconfig(str(own_lab.kubeconfig)), PACE, Timeouts(2.0, 10.0, 10.0)) as session:
        namespace = await create_namespace(session, "restart")
        for number in range(8):
            await create(session, namespace, f"p{number}")
        mirror = Mirror(spec_digest, PACE)
        reflector = Reflector(session, mirror, NETPOL, PACE, SETTINGS)
        gone: list[str] = []
        mirror.subscribe(lambda ref, _before, after: gone.append(ref.name) if after is None else None)
        async with running(reflector.run()):
            await until(lambda: mirror.state(NETPOL) is KindState.READY)
            for kill in (False, True):
                await (own_lab.apiserver.kill() if kill else own_lab.apiserver.stop())
                await own_lab.apiserver.start()
                await own_lab.apiserver.wait_ready()
                stored = await create(session, namespace, f"after-{kill}".lower())
                version = stored["metadata"]["resourceVersion"]
                assert await mirror.seen(ref_of(namespace, stored["metadata"]["name"]), version, 60.0)
            # A new server's watch cache begins at "now": a watch from before may be answered 410, and only then listed.
            assert reflector.counts.lists == 1 + reflector.counts.expired
            assert gone == []


async def test_a_deletion_missed_during_a_compaction_is_found_by_one_list(own_lab: Lab) -> None:
    async with Session(Kubeconfig(str(own_lab.kubeconfig)), PACE, Timeouts(2.0, 10.0, 10.0)) as session:
        namespace = await create_namespace(session, "compact")
        await create(session, namespace, "stays")
        await create(session, namespace, "goes")
        mirror = Mirror(spec_digest, PACE)
        first = Reflector(session, mirror, NETPOL, PACE, SETTINGS)
        async with running(first.run()):
            await until(lambda: mirror.state(NETPOL) is KindState.READY)
        old = mirror.watermark(NETPOL)
        await session.request("DELETE", f"{NETPOLS.format(namespace)}/goes")
        for number in range(3):
            await create(session, namespace, f"noise{number}")
        await own_lab.compact()
        await own_lab.apiserver.stop()
        await own_lab.apiserver.start()
        await own_lab.apiserver.wait_ready()
        second = Reflector(session, mirror, NETPOL, PACE, SETTINGS)
        second._version = old  # the same watch goes on, as after a long silence
        with pytest.raises(Gone):
            await second._watch()
        async with running(second.run()):
            await until(lambda: mirror.get(ref_of(namespace, "goes")) is None)
            assert mirror.get(ref_of(namespace, "stays")) is not None
            assert second.counts.lists == 1


async def test_while_etcd_is_away_nothing_is_believed_gone_and_writes_are_not_called_done(own_lab: Lab) -> None:
    config = Kubeconfig(str(own_lab.kubeconfig))
    async with (
        Session(config, PACE, Timeouts(5.0, 60.0, 60.0)) as patient,
        Session(config, PACE, Timeouts(2.0, 5.0, 5.0)) as session,
    ):
        namespace = await create_namespace(patient, "etcd")
        stored = await create(patient, namespace, "x")
        mirror = Mirror(spec_digest, PACE)
        reflector = Reflector(session, mirror, NETPOL, PACE, SETTINGS)
        async with running(reflector.run()):
            await until(lambda: mirror.state(NETPOL) is KindState.READY)
            await own_lab.etcd.kill()
            meta = stored["metadata"]
            write = Replace(
                ref_of(namespace, "x"), full(namespace, "x"), meta["uid"], meta["resourceVersion"], "f", "r"
            )
            writer = writer_of(session, mirror)
            object.__setattr__(writer, "timeouts", Timeouts(1.0, 3.0, 3.0))
            assert (await writer.execute(write, 1)).result in {Result.UNKNOWN, Result.FAILED}
            with pytest.raises(Exception, match="GET"):
                await truth_of(session, mirror).get(ref_of(namespace, "x"))
            assert mirror.get(ref_of(namespace, "x")) is not None
            await own_lab.etcd.start()
            await own_lab.etcd.wait_ready()
            await own_lab.apiserver.wait_ready()
            later = await create(patient, namespace, "y")
            assert await mirror.seen(ref_of(namespace, "y"), later["metadata"]["resourceVersion"], 60.0)


async def test_rights_taken_away_make_a_kind_blind_and_given_back_let_it_see(lab: Lab) -> None:
    user, path = f"watcher-{secrets.token_hex(3)}", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": user},
        "rules": [
            {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["get", "list", "watch"]}
        ],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": user},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    config = lab.kubeconfig_for(user)
    async with Session(Kubeconfig(str(lab.kubeconfig)), PACE) as admin, Session(Kubeconfig(str(config)), PACE) as poor:
        namespace = await create_namespace(admin, f"blind-{secrets.token_hex(3)}")
        await create(admin, namespace, "x")
        mirror = Mirror(spec_digest, PACE)
        settings = ReflectorSettings(server_timeout=(1.0, 2.0), silence=20.0, short_watch=0.1)
        reflector = Reflector(poor, mirror, NETPOL, PACE, settings)
        async with running(reflector.run()):
            await until(lambda: mirror.state(NETPOL) is KindState.BLIND)
            await admin.request("POST", path.replace("bindings", "s"), body=orjson.dumps(role))
            await admin.request("POST", path, body=orjson.dumps(binding))
            await until(lambda: mirror.state(NETPOL) is KindState.READY)
            await admin.request("DELETE", f"{path}/{user}")
            await until(lambda: mirror.state(NETPOL) is KindState.BLIND)
            assert mirror.get(ref_of(namespace, "x")) is not None
            await admin.request("POST", path, body=orjson.dumps(binding))
            await until(lambda: mirror.state(NETPOL) is KindState.READY, 60.0)
            assert reflector.counts.lists <= 10


async def test_a_dead_token_is_read_again_and_the_request_goes_through(lab: Lab, tmp_path: Path) -> None:
    async with Session(Kubeconfig(str(lab.kubeconfig)), PACE) as admin:
        namespace = await create_namespace(admin, f"token-{secrets.token_hex(3)}")
        for name in ("first", "second"):
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
            where = f"/api/v1/namespaces/{namespace}/serviceaccounts"
            await admin.request("POST", where, body=orjson.dumps(account))
        first = (await lab.service_account_kubeconfig(namespace, "first")).read_text()
        second = (await lab.service_account_kubeconfig(namespace, "second")).read_text()
        file = tmp_path / "kubeconfig"
        file.write_text(first)
        async with Session(Kubeconfig(str(file)), PACE) as session:
            review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
            asked = orjson.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
            who = json.loads((await session.request("POST", review, body=asked)).body)
            assert who["status"]["userInfo"]["username"].endswith(":first")
            await admin.request("DELETE", f"/api/v1/namespaces/{namespace}/serviceaccounts/first")
            async with asyncio.timeout(30):
                while True:
                    try:
                        await session.request("POST", review, body=asked)
                    except Unauthorized:
                        break
                    await asyncio.sleep(0.2)
            file.write_text(second)
            who = json.loads((await session.request("POST", review, body=asked)).body)
            assert who["status"]["userInfo"]["username"].endswith(":second")
        with pytest.raises(NotFound):
            await admin.request("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/first")
