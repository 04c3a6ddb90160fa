"""Policy kinds that nobody here understands, installed while driftd runs: seen, told, never touched."""

from collections.abc import AsyncIterator, Iterator

import pytest

from driftd.lab import Lab
from tests.support.faulty import Scene
from tests.support.loose_kinds import loose_kind
from tests.support.shared_stage import Standing, on, quiet, standing, told
from tests.support.stage import Body

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]  # judging every state costs CPU


@pytest.fixture(scope="module")
def driftd(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing(lab, tmp_path_factory.mktemp("unknown")) as one:
        yield one


@pytest.fixture
async def scene(driftd: Standing) -> AsyncIterator[Scene]:
    async with on(driftd) as one:
        yield one


async def test_an_instance_of_a_late_policy_kind_over_a_governed_namespace_is_told_and_left_alone(scene: Scene) -> None:
    async with loose_kind(scene.kube, "CiliumNetworkPolicy", group="cilium.io", version="v2") as collection:
        path = collection.format(where="namespaces/acme-prod/")
        body: Body = {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": {"name": "theirs", "namespace": "acme-prod"},
            "spec": {"endpointSelector": {}, "egress": [{"toEntities": ["all"]}]},
        }
        made = await scene.kube.request("POST", path, body=body)
        await told(scene, "unknown-kind", "theirs", "acme-prod", 30.0)
        found = (await scene.evidence()).about("theirs", "acme-prod")
        assert {past.seen.finding.direction.value for past in found} == {"unknown"}
        await quiet()
        live = await scene.kube.request("GET", f"{path}/theirs")
        assert live == made
        assert scene.attempts() == []

        await scene.kube.request("DELETE", f"{path}/theirs")

        async def closed() -> bool:
            return all(past.seen.closed for past in (await scene.evidence()).about("theirs", "acme-prod"))

        await scene.until("the finding is over", closed, 30.0)


async def test_a_kind_of_a_policy_group_that_no_table_lists_is_a_finding_itself(scene: Scene) -> None:
    async with loose_kind(scene.kube, "CiliumTimeTravelPolicy", group="cilium.io", version="v2", scope="Cluster"):
        await told(scene, "unknown-kind", "(the kind itself)", "", 30.0)
        assert scene.attempts() == []


async def test_a_kind_outside_of_policy_groups_is_none_of_driftds_business(scene: Scene) -> None:
    async with loose_kind(scene.kube, "Gadget", group="example.com", version="v2") as collection:
        path = collection.format(where="namespaces/acme-prod/")
        body: Body = {"apiVersion": "example.com/v2", "kind": "Gadget", "metadata": {"name": "mine"}}
        await scene.kube.request("POST", path, body=body)
        await quiet(3.0)
        assert (await scene.evidence()).about("mine", "acme-prod") == []
        assert scene.attempts() == []
