"""What `helm uninstall` keeps is found by the next install, and its fence goes on following the epoch."""

import asyncio
import random
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftd.app.system import SystemClock
from driftd.cluster import ClusterError, EpochParameter, Kubeconfig, Pace, Session, guards
from driftd.lab import Lab
from tests.deploy.rendered import FILES, MANIFESTS
from tests.support.control_plane import run_apart
from tests.support.helm import CHART, helm
from tests.support.kube import Kube
from tests.support.stage import documents

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(180)]


@pytest.fixture
def own_lab(lab: Lab) -> Iterator[Lab]:
    """An API server whose fence may be taken away; asking for `lab` first settles whether one can be had."""
    own = run_apart(Lab.launch(f"helm-{secrets.token_hex(2)}"))
    yield own
    run_apart(own.close())


async def said(lab: Lab, *args: str) -> str:
    """What helm says against it; empty where it does as it is told."""
    done = await asyncio.to_thread(helm, *args, "--kubeconfig", str(lab.kubeconfig))
    return done.stderr if done.returncode else ""


def install(release: str, *args: str, namespace: str = "driftd") -> list[str]:
    given = ["--namespace", namespace, "--create-namespace", "--set", "model.configMap=driftd-model", *args]
    return ["upgrade", "--install", release, str(CHART), *given]


async def term(lab: Lab, namespace: str = "driftd") -> int:
    """The epoch of a new term, once the fence refuses the one before it."""
    pace = Pace(SystemClock(), asyncio.sleep, random.random)
    config = await lab.service_account_kubeconfig(namespace, "driftd")
    async with Session(Kubeconfig(str(config)), pace) as session, asyncio.timeout(20):
        while True:
            try:
                epoch = await EpochParameter(session, namespace).raise_above(1)
                break
            except ClusterError:  # the rights were granted a moment ago
                await asyncio.sleep(0.2)
        fence = (await guards(session, namespace))[0]
        assert fence.holds, fence
        return epoch


async def test_a_fence_follows_the_epoch_through_an_uninstall_and_an_install(own_lab: Lab) -> None:
    assert not await said(own_lab, *install("driftd"))
    epoch = await term(own_lab)
    assert not await said(own_lab, *install("driftd", "--set", "calico.governed=false"))
    assert not await said(own_lab, "uninstall", "driftd", "--namespace", "driftd")
    async with Kube.connect(Path(own_lab.kubeconfig)) as admin:
        kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ClusterRole", "ClusterRoleBinding")
        left = [body["metadata"]["name"] for kind in kinds for body in await admin.list(kind)]
    assert [name for name in left if name.startswith("driftd")] == ["driftd-fence", "driftd-fence"]
    await asyncio.sleep(2)  # an API server that had seen the binding go would have ended its watch by now
    assert not await said(own_lab, *install("driftd"))
    assert await term(own_lab) == epoch + 1

    assert not await said(own_lab, "uninstall", "driftd", "--namespace", "driftd")
    assert "invalid ownership metadata" in await said(own_lab, *install("other"))
    assert not await said(own_lab, *install("other", "--take-ownership"))
    assert await term(own_lab) == epoch + 2

    assert not await said(own_lab, "uninstall", "other", "--namespace", "driftd")
    assert not await said(own_lab, *install("driftd", "--take-ownership", namespace="elsewhere"))
    await term(own_lab, "elsewhere")


async def test_the_chart_takes_over_what_was_applied_from_the_plain_manifests(own_lab: Lab) -> None:
    async with Kube.connect(Path(own_lab.kubeconfig)) as admin:
        for name in FILES.values():
            await admin.apply(documents((MANIFESTS / name).read_text()))
    epoch = await term(own_lab)
    assert "conflict" in await said(own_lab, *install("driftd", "--take-ownership"))
    assert not await said(own_lab, *install("driftd", "--take-ownership", "--force-conflicts"))
    assert await term(own_lab) == epoch + 1


async def test_a_fence_whose_binding_was_deleted_once_is_told_to_stand_still(own_lab: Lab) -> None:
    kind = "ValidatingAdmissionPolicyBinding"
    async with Kube.connect(Path(own_lab.kubeconfig)) as admin:
        for name in FILES.values():
            await admin.apply(documents((MANIFESTS / name).read_text()))
        await term(own_lab)
        binding = await admin.get(kind, "", "driftd-fence")
        await admin.delete(kind, "", "driftd-fence")
        pace = Pace(SystemClock(), asyncio.sleep, random.random)
        config = await own_lab.service_account_kubeconfig("driftd", "driftd")
        async with Session(Kubeconfig(str(config)), pace) as session, asyncio.timeout(60):
            while (gone := (await guards(session, "driftd"))[0]).holds is not False:
                await asyncio.sleep(0.2)
            assert gone.remedy.startswith("apply")
            await asyncio.sleep(2)  # its watch ends
            await admin.create({**binding, "metadata": {"name": "driftd-fence"}})
            while (await guards(session, "driftd"))[0].holds is False:
                await asyncio.sleep(0.2)
            await EpochParameter(session, "driftd").raise_above(1)
            still = (await guards(session, "driftd"))[0]
            assert still.holds is False
            assert "stands still" in still.remedy
            assert "start every API server anew" in still.remedy
