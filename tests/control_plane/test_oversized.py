"""Objects of which driftd keeps next to nothing are repaired like all others, and lose nothing that is not driftd's."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from driftd.lab import Lab
from tests.support.faulty import OPEN, STEADY_LEASE, allow_all
from tests.support.stage import Stage, stage

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(240)]


@pytest.fixture
async def scene(lab: Lab, tmp_path: Path) -> AsyncIterator[Stage]:
    """Of a kind and namespace no more is kept than what is little: all else is abridged."""
    async with stage(lab, tmp_path / "data", env={**STEADY_LEASE, "DRIFTD_WATCH__NAMESPACE_BYTES": "1500"}) as one:
        yield one


async def test_what_is_not_kept_whole_is_repaired_and_keeps_what_is_foreign(scene: Stage) -> None:
    foreign = {"metadata": {"annotations": {"notes": "x" * 2000}, "labels": {"team": "web"}}}
    await scene.kube.merge("NetworkPolicy", "acme-prod", "web-ingress", foreign)
    await scene.kube.merge(
        "ServiceAccount", "acme-prod", "api", {"imagePullSecrets": [{"name": "registry"}], **foreign}
    )
    await scene.mark()
    hole = allow_all("acme-prod", "hole")
    hole["metadata"]["annotations"] = {"notes": "y" * 2000}
    await scene.kube.create(hole)
    long = {"podSelector": {"matchLabels": {"k" * 60: "v" * 60}}}
    for number in range(5):  # one more than are read at a time, and nothing is kept of what they hold
        wide = allow_all("acme-prod", f"wide-{number}")
        wide["spec"]["egress"] = [{"to": [long]}] * 14
        await scene.kube.create(wide)
    await scene.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    await scene.kube.merge("NetworkPolicy", "acme-prod", "web-ingress", {"spec": {"ingress": [{}]}})
    await scene.kube.merge("ServiceAccount", "acme-prod", "api", {"automountServiceAccountToken": True})
    await scene.kube.delete("NetworkPolicy", "acme-prod", "api-ingress")
    await scene.canonical(60.0)
    assert any(event.get("event") == "cluster.namespace.oversized" for event in scene.daemon.events())
    policy = await scene.kube.get("NetworkPolicy", "acme-prod", "web-ingress")
    assert policy["metadata"]["annotations"]["notes"] == "x" * 2000
    assert policy["metadata"]["labels"]["team"] == "web"
    account = await scene.kube.get("ServiceAccount", "acme-prod", "api")
    assert account["imagePullSecrets"] == [{"name": "registry"}]
    assert account["metadata"]["annotations"]["notes"] == "x" * 2000
    assert scene.loosened() == []
