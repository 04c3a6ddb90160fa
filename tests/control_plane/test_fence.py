"""The API server itself refuses a leader of an older epoch, and nothing that the leader of this epoch needs."""

import asyncio
import signal
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from driftd.lab import Lab
from tests.oracle.replay import Key, read
from tests.support.calico import calico
from tests.support.calico_crds import PLURALS, installed, path
from tests.support.daemon import Daemon
from tests.support.faulty import OPEN, Scene, allow_all, scene
from tests.support.kube import Body, Kube
from tests.support.late_writes import MAILER, WORKER, Held, change_model
from tests.support.login import CONDEMNED, EPOCH, Login, login, raised
from tests.support.proxy import is_repair
from tests.support.stage import DRIFTD, INSTALLED, copy_models, documents

pytestmark = [
    pytest.mark.control_plane,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]
FENCE = "ValidatingAdmissionPolicy 'driftd-fence'"
HOME = "fenced"
POLICIES = Kube.path("NetworkPolicy", HOME)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held(lab: Lab) -> AsyncIterator[Login]:
    async with login(lab) as one:
        await one.admin.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}}])
        yield one
        await one.admin.delete("Namespace", "", HOME)


async def put(one: Login, name: str, epoch: int, *, condemned: str = "") -> Body:
    """A policy as somebody left it: by the administrator's hand, whom the fence does not concern."""
    return await one.admin.create(one.policy(name, epoch, namespace=HOME, condemned=condemned))


def rewritten(body: Body, epoch: int | None, condemned: str = "") -> Body:
    """The PUT of a live object with other marks, as the daemon sends it."""
    marks = {EPOCH: str(epoch)} if epoch is not None else {}
    if condemned:
        marks[CONDEMNED] = condemned
    return {**body, "metadata": {**body["metadata"], "annotations": marks}}


async def test_an_older_epoch_may_not_create_and_the_current_one_may(held: Login) -> None:
    old = held.policy("made", held.epoch - 1, namespace=HOME)
    said = await held.refusal("POST", POLICIES, old)
    assert FENCE in said
    assert f"epoch {held.epoch} rules; this write is of epoch {held.epoch - 1}" in said
    for wrong in (None, -3):
        assert FENCE in await held.refusal("POST", POLICIES, held.policy("made", wrong, namespace=HOME))
    await held.kube.create(held.policy("made", held.epoch, namespace=HOME))


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("ResourceQuota", {"spec": {"hard": {"pods": "1"}}}),
        ("LimitRange", {"spec": {"limits": []}}),
        ("ServiceAccount", {"automountServiceAccountToken": False}),
        ("NetworkPolicy", {"spec": {"podSelector": {}}}),
        ("Namespace", {}),
    ],
)
async def test_every_governed_kind_is_fenced(held: Login, kind: str, spec: Body) -> None:
    group = "networking.k8s.io/v1" if kind == "NetworkPolicy" else "v1"
    meta = {"name": f"{kind.lower()}-of-old", "annotations": {EPOCH: str(held.epoch - 1)}}
    if kind != "Namespace":
        meta["namespace"] = HOME
    body = {"apiVersion": group, "kind": kind, "metadata": meta, **spec}
    assert FENCE in await held.refusal("POST", Kube.path(kind, HOME), body)


async def test_calicos_kinds_are_fenced_like_the_others(held: Login) -> None:
    async with installed(held.admin):
        for kind in PLURALS:
            where = "" if kind.startswith("Global") or kind == "Tier" else HOME
            for epoch, fenced in ((held.epoch - 1, True), (held.epoch, False)):
                marks = {EPOCH: str(epoch)}
                body = calico(kind, f"{kind.lower()}-of-old", {}, where, annotations=marks)
                said = await held.said("POST", path(kind, where) + "?dryRun=All", body)
                assert (FENCE in said) is fenced, f"{kind} of epoch {epoch}: {said}"


async def test_an_older_epoch_may_neither_replace_nor_condemn_nor_delete(held: Login, lab: Lab) -> None:
    offset = Path(lab.audit_log).stat().st_size
    live = await put(held, "stays", held.epoch)
    path = Kube.path("NetworkPolicy", HOME, "stays")
    before = held.epoch - 1
    assert FENCE in await held.refusal("PUT", path, rewritten(live, before))
    assert FENCE in await held.refusal("PUT", path, rewritten(live, before, str(before)))
    assert "has not condemned" in await held.refusal("DELETE", path)
    records = read(Path(lab.audit_log).read_bytes()[offset:].splitlines(keepends=True))
    key = Key("networking.k8s.io", "networkpolicies", HOME, "stays")
    refused = [(record.verb, record.code) for record in records if record.user == DRIFTD and record.key == key]
    assert refused == [("update", 403), ("update", 403), ("delete", 403)]
    assert (await held.admin.get("NetworkPolicy", HOME, "stays"))["metadata"]["resourceVersion"] == live["metadata"][
        "resourceVersion"
    ]


async def test_an_object_is_condemned_for_the_epoch_of_the_write_only(held: Login) -> None:
    live = await put(held, "marked", held.epoch)
    path = Kube.path("NetworkPolicy", HOME, "marked")
    for wrong in (str(held.epoch - 1), str(held.epoch + 1), "soon"):
        assert FENCE in await held.refusal("PUT", path, rewritten(live, held.epoch, wrong))
    await held.kube.request("PUT", path, body=rewritten(live, held.epoch, str(held.epoch)))
    await held.kube.delete("NetworkPolicy", HOME, "marked")


@pytest.mark.parametrize("mark", ["1", "999999999999", "never", "-1"])
async def test_a_mark_that_a_crash_or_a_tenant_left_never_blocks_a_repair(held: Login, mark: str) -> None:
    name = f"left-{mark.strip('-')}-{len(mark)}"
    live = await put(held, name, 3, condemned=mark)
    path = Kube.path("NetworkPolicy", HOME, name)
    repaired = await held.kube.request("PUT", path, body=rewritten(live, held.epoch))
    assert CONDEMNED not in repaired["metadata"]["annotations"]
    again = await held.admin.merge("NetworkPolicy", HOME, name, {"metadata": {"annotations": {CONDEMNED: mark}}})
    await held.kube.request("PUT", path, body=rewritten(again, held.epoch, str(held.epoch)))
    await held.kube.delete("NetworkPolicy", HOME, name)


async def test_while_the_parameter_has_no_number_driftd_is_refused_and_nobody_else(held: Login) -> None:
    body = held.policy("unruled", held.epoch, namespace=HOME)
    try:
        await held.admin.merge("ConfigMap", "driftd", "driftd-fence", {"data": {"epoch": None}})
        await held.until_refused(POLICIES, body, FENCE)
        await held.admin.request("POST", POLICIES + "?dryRun=All", body=body)
    finally:
        await held.admin.merge("ConfigMap", "driftd", "driftd-fence", {"data": {"epoch": str(held.epoch)}})
    async with asyncio.timeout(10):
        while said := await held.said("POST", POLICIES, body):
            assert FENCE in said


async def test_a_parameter_that_is_taken_away_stops_nobody_elses_writes(held: Login) -> None:
    dry, stale = POLICIES + "?dryRun=All", held.policy("free", held.epoch - 1, namespace=HOME)
    assert FENCE in await held.refusal("POST", dry, stale)
    try:
        await held.admin.delete("ConfigMap", "driftd", "driftd-fence")
        async with asyncio.timeout(10):
            while said := await held.said("POST", dry, stale):  # let in: the server has noticed
                assert FENCE in said
        for _ in range(20):
            await held.admin.request("POST", dry, body=held.policy("free", None, namespace=HOME))
            await asyncio.sleep(0.02)
        assert not await held.said("POST", dry, stale), "the parameter was back: this test proves nothing"
    finally:
        held.epoch = await raised(held.admin, by=held.epoch)
        await held.until_refused(POLICIES, stale, FENCE)


async def test_installing_again_never_sets_the_epoch_back(held: Login) -> None:
    shipped = [body for body in documents(INSTALLED[1].read_text()) if body["kind"] == "ConfigMap"]
    assert [body["metadata"]["name"] for body in shipped] == ["driftd-fence"]
    assert not shipped[0].get("data")
    path = Kube.path("ConfigMap", "driftd", "driftd-fence") + "?fieldManager=helm&force=true"
    after = await held.admin.request("PATCH", path, body=shipped[0], content_type="application/apply-patch+yaml")
    assert after["data"] == {"epoch": str(held.epoch)}


async def test_others_are_not_concerned(held: Login) -> None:
    body = held.policy("of-a-tenant", None, namespace=HOME)
    await held.admin.create(body)
    await held.admin.delete("NetworkPolicy", HOME, "of-a-tenant")


async def test_a_raised_parameter_is_in_force_within_milliseconds(held: Login) -> None:
    waits = []
    for _ in range(10):
        old, epoch = held.epoch, await raised(held.admin)
        held.epoch = epoch
        began = time.monotonic()
        await held.until_refused(POLICIES, held.policy("late", old, namespace=HOME), f"epoch {epoch} rules")
        waits.append((time.monotonic() - began) * 1000)
    print(f"\nold epoch refused after {statistics.median(waits):.1f} ms (longest {max(waits):.1f})")
    assert max(waits) < 1000


async def test_what_the_policies_cost_a_write(held: Login) -> None:
    """One PUT by driftd under both policies, against the same by the administrator whom they do not match."""
    live = await put(held, "timed", held.epoch)
    path = Kube.path("NetworkPolicy", HOME, "timed") + "?dryRun=All"
    body = rewritten(live, held.epoch)
    times: dict[str, list[float]] = {"driftd": [], "admin": []}
    for _ in range(60):
        for who, kube in (("driftd", held.kube), ("admin", held.admin)):
            began = time.perf_counter()
            await kube.request("PUT", path, body=body)
            times[who].append((time.perf_counter() - began) * 1000)
    medians = {who: statistics.median(found) for who, found in times.items()}
    print(f"\nPUT {medians['driftd']:.2f} ms with the policies, {medians['admin']:.2f} ms without")
    assert medians["driftd"] - medians["admin"] < 25


async def test_a_stopped_leader_is_refused_its_create_of_what_the_new_model_dropped_and_delete_of_what_it_added(
    lab: Lab, tmp_path: Path, held: Login
) -> None:
    """A frozen daemon cannot send; but what it sent before may arrive after its successor took over."""
    models = copy_models(tmp_path / "models")
    making, deleting = Held(), Held()
    async with scene(lab, tmp_path / "one", models=models) as leader:
        before = await leader.epoch()
        leader.proxy.rule(lambda request: is_repair(request) and request.verb == "POST", before=making)
        leader.proxy.rule(lambda request: is_repair(request) and request.verb == "DELETE", before=deleting)
        config = Path(await lab.service_account_kubeconfig("driftd", "driftd"))
        async with Daemon(kubeconfig=config, models=models, data=tmp_path / "two", identity="two") as second:
            await leader.kube.delete("NetworkPolicy", *WORKER)
            await leader.kube.create(allow_all(*MAILER))
            for one in (making, deleting):
                await asyncio.wait_for(one.here.wait(), 15)
            leader.daemon.send(signal.SIGSTOP)
            change_model(models)
            await leader.leads(above=before)
            await leader.canonical(30.0)
            for one in (making, deleting):
                one.released.set()
            refused = {("create", *WORKER), ("delete", *MAILER)}
            await leader.until("both late writes are refused", lambda: _are_refused(leader, refused))
            assert leader.loosened() == []
            came_true = {(record.verb, record.key.namespace, record.key.name) for record in leader.writes()} & refused
            assert not came_true

            await leader.mark()
            leader.daemon.send(signal.SIGCONT)
            await leader.kube.create(allow_all("acme-prod", "hole"))
            await leader.kube.merge("NetworkPolicy", "globex-prod", "default-deny", OPEN)
            await leader.canonical()
            await _gone(leader, "hole")
            stored = [record.request for record in leader.writes() if record.verb in {"create", "update"}]
            done = {int(body["metadata"]["annotations"][EPOCH]) for body in stored if body}
            assert min(done) > before, "awake again, the old leader wrote"
            assert await leader.kube.find("NetworkPolicy", *WORKER) is None
            assert (await leader.kube.get("NetworkPolicy", *MAILER))["spec"]["egress"], "as the new model has it"
            assert leader.loosened() == []
            assert not second.unhandled()
    await held.admin.delete("ServiceAccount", MAILER[0], "mailer")


async def _are_refused(leader: Scene, writes: set[tuple[str, str, str]]) -> bool:
    """By the API server: the fence forbids it, or the object is another version by now."""
    return writes <= {
        (record.verb, record.key.namespace, record.key.name)
        for record in leader.records()
        if record.user == DRIFTD and record.code in {403, 409}
    }


async def _gone(leader: Scene, name: str) -> None:
    async def holds() -> bool:
        return await leader.kube.find("NetworkPolicy", "acme-prod", name) is None

    await leader.until(f"{name} is gone", holds)


async def test_a_leader_whose_fence_was_taken_away_or_raised_heals_on(lab: Lab, tmp_path: Path, held: Login) -> None:
    async with scene(lab, tmp_path / "data", proxied=False) as leader:
        before = await leader.epoch()
        await leader.kube.delete("ConfigMap", "driftd", "driftd-fence")
        await leader.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
        await leader.sound()

        async def given_back() -> bool:
            found = await leader.kube.find("ConfigMap", "driftd", "driftd-fence")
            return found is not None and found["data"]["epoch"] == str(before)

        await leader.until("the parameter is given back", given_back)
        assert await leader.epoch() == before, "and within the same term"
        higher = await raised(leader.kube, by=7)
        await leader.kube.merge("NetworkPolicy", "acme-prod", "web-ingress", {"spec": {"ingress": [{}]}})
        await leader.sound()
        assert await leader.epoch() > higher
