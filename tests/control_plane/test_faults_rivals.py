"""Somebody else's hand: a writer who never gives up, rights taken away, a server that will not serve driftd."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from driftd.lab import Lab
from tests.support.faulty import OPEN, Scene, allow_all, scene
from tests.support.replicas import busiest_second
from tests.support.stage import DRIFTD, Body

pytestmark = [
    pytest.mark.control_plane,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

BLIND = 'driftd_kind_state{kind="networkpolicies.networking.k8s.io",state="blind"}'
FLOW = "apis/flowcontrol.apiserver.k8s.io/v1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def direct(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(lab, tmp_path_factory.mktemp("rivals") / "data", proxied=False) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def calm(direct: Scene) -> Scene:
    await direct.begin()
    return direct


async def test_a_writer_at_twenty_a_second_is_fought_at_two_and_loses_in_the_end(calm: Scene) -> None:
    seconds, pace = 6.0, 0.05
    loop = asyncio.get_running_loop()
    end, port = loop.time() + seconds, 1
    while loop.time() < end:
        port += 1
        hole = {"spec": {"egress": [{"ports": [{"port": port, "protocol": "TCP"}]}]}}
        await calm.kube.merge("NetworkPolicy", "acme-prod", "default-deny", hole)
        await asyncio.sleep(pace)
    assert port > seconds * 5, "the rival was too slow to be one"
    found = await calm.sound()
    mine = [record for record in calm.attempts() if record.key.name == "default-deny"]
    done = [record for record in mine if record.succeeded]
    assert len(done) >= seconds, "loosening drift is repaired on and on"
    assert busiest_second(done) <= 3  # two, and one whose second began late
    assert len(done) <= 2 * (seconds + 1)
    assert len(mine) <= 4 * (seconds + 1), "a conflict is looked at, not hammered"
    assert found.kinds()["fight.known"] == 1
    (fight,) = [row for row in found.rows if row.kind == "fight.known"]
    assert "default-deny" in fight.subject
    assert {record.key.name for record in calm.writes()} == {"default-deny"}


async def test_a_rival_who_only_breaks_things_is_answered_after_growing_pauses(calm: Scene) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + 16.0
    while loop.time() < end:
        await calm.kube.merge("NetworkPolicy", "acme-prod", "web-ingress", {"spec": {"ingress": []}})
        await asyncio.sleep(0.25)
    found = await calm.sound(seconds=60.0)
    done = [record for record in calm.writes() if record.key.name == "web-ingress"]
    times = [record.done.timestamp() for record in done]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert 5 <= len(done) <= 12, "quick at first, then patient"
    assert max(pauses) >= 5.0, "a fight that opens nothing is not worth two writes a second"
    assert "tightens" in {past.seen.finding.direction.value for past in found.about("web-ingress", "acme-prod")}


async def test_a_rival_over_one_object_does_not_delay_another_tenant(calm: Scene) -> None:
    over = asyncio.Event()

    async def flip() -> None:
        for port in itertools.count(1):
            if over.is_set():
                return
            hole = {"spec": {"egress": [{"ports": [{"port": port, "protocol": "TCP"}]}]}}
            await calm.kube.merge("NetworkPolicy", "acme-prod", "web-egress", hole)
            await asyncio.sleep(0.05)

    rival = asyncio.ensure_future(flip())
    await asyncio.sleep(1.0)
    await calm.kube.merge("NetworkPolicy", "globex-prod", "default-deny", OPEN)

    async def healed() -> bool:
        return not [ref for ref in await calm.differing() if "globex-prod" in ref]

    try:
        await calm.until("the other tenant is healed while the fight goes on", healed, 15.0)
        assert not rival.done(), "the fight was over: this test proves nothing"
    finally:
        over.set()
        await rival
    await calm.sound()


async def test_rights_taken_away_make_a_kind_unknown_and_nothing_is_concluded_from_it(calm: Scene) -> None:
    binding = await calm.kube.get("ClusterRoleBinding", "", "driftd")
    try:
        await calm.kube.delete("ClusterRoleBinding", "", "driftd")

        async def blind() -> bool:
            return await calm.metric(BLIND) == 1

        await calm.until("NetworkPolicies are blind", blind, 30.0)
        await calm.mark()
        await calm.kube.delete("NetworkPolicy", "acme-prod", "default-deny")
        await calm.kube.create(allow_all("globex-prod", "hole"))
        await asyncio.sleep(3.0)
        assert calm.writes() == []
        now = await calm.evidence()
        assert not [past for past in now.about("default-deny", "acme-prod") if past.seen.closed is None]
        health = await calm.ready()
        assert health != 200, "blind is not clean"
    finally:
        await calm.kube.create(fresh(binding))
    found = await calm.sound(seconds=40.0)
    assert [past.seen.finding.type.value for past in found.about("hole", "globex-prod")] == ["unexpected"]
    assert "missing" in {past.seen.finding.type.value for past in found.about("default-deny", "acme-prod")}


async def test_without_the_right_to_write_drift_is_told_and_repaired_as_soon_as_it_is_given_back(calm: Scene) -> None:
    role = await calm.kube.get("ClusterRole", "", "driftd")
    only_reading = [{**rule, "verbs": [v for v in rule["verbs"] if v in READING]} for rule in role["rules"]]
    poorer = [rule for rule in only_reading if rule["verbs"]]
    try:
        await calm.kube.merge("ClusterRole", "", "driftd", {"rules": poorer})
        await asyncio.sleep(0.5)
        await calm.mark()
        await calm.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)

        async def told() -> bool:
            types = {past.seen.finding.type.value for past in (await calm.evidence()).about("default-deny")}
            return "blocked" in types

        await calm.until("a finding says that the repair is refused", told)
        assert calm.writes() == []
        assert len(calm.attempts()) < 20, "a refusal is no reason to hurry"
    finally:
        await calm.kube.merge("ClusterRole", "", "driftd", {"rules": role["rules"]})
    await calm.sound()


async def test_a_server_that_has_hardly_a_seat_for_driftd_is_not_stormed_and_gets_its_repairs(calm: Scene) -> None:
    before = await calm.epoch()

    async def refused() -> bool:
        return any(record.user == DRIFTD and record.code == 429 for record in calm.records())

    await calm.kube.request("POST", f"{FLOW}/prioritylevelconfigurations", body=LEVEL)
    try:
        await calm.kube.request("POST", f"{FLOW}/flowschemas", body=SCHEMA)
        await calm.until("driftd is refused", refused)  # without any share, one request at a time is let in
        await asyncio.sleep(1.0)
        await calm.mark()
        await calm.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
        await calm.kube.delete("ResourceQuota", "globex-prod", "quota")
        await asyncio.sleep(5.0)
        asked = [record for record in calm.records() if record.user == DRIFTD]
        assert len(asked) < 400, "a storm of 429 must not be answered by a storm"
    finally:
        await calm.kube.request("DELETE", f"{FLOW}/flowschemas/starve-driftd")
        await calm.kube.request("DELETE", f"{FLOW}/prioritylevelconfigurations/starve-driftd")
    found = await calm.sound(seconds=40.0)
    assert await calm.epoch() >= before
    assert found.about("quota", "globex-prod")


READING = frozenset({"get", "list", "watch"})

LEVEL: Body = {
    "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
    "kind": "PriorityLevelConfiguration",
    "metadata": {"name": "starve-driftd"},
    "spec": {
        "type": "Limited",
        "limited": {
            "nominalConcurrencyShares": 0,
            "lendablePercent": 0,
            "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Reject"},
        },
    },
}
SCHEMA: Body = {
    "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
    "kind": "FlowSchema",
    "metadata": {"name": "starve-driftd"},
    "spec": {
        "priorityLevelConfiguration": {"name": "starve-driftd"},
        "matchingPrecedence": 50,
        "rules": [
            {
                "subjects": [
                    {"kind": "ServiceAccount", "serviceAccount": {"namespace": "driftd", "name": "driftd"}},
                ],
                "resourceRules": [
                    {
                        "verbs": ["*"],
                        "apiGroups": ["*"],
                        "resources": ["*"],
                        "namespaces": ["*"],
                        "clusterScope": True,
                    }
                ],
            }
        ],
    },
}


def fresh(body: Body) -> Body:
    """The object as it is created anew."""
    meta = body["metadata"]
    return {**body, "metadata": {"name": meta["name"], "labels": meta.get("labels", {})}}
