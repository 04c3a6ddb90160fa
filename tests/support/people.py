"""People of a test's cluster: accounts with a kubeconfig each, and driftd's commands run as one of them."""

import asyncio
from pathlib import Path

from driftd.lab import Lab
from tests.support.cli import Ran, driftd
from tests.support.kube import Kube, KubeError
from tests.support.stage import Body, Stage

OPERATOR = "system:serviceaccount:driftd:operator"


async def account(lab: Lab, name: str, role: str = "") -> Path:
    """A kubeconfig of an account, made if need be and bound to a ClusterRole if one is named."""
    meta = {"name": name, "namespace": "driftd"}
    wanted: list[Body] = [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}]
    if role:
        wanted.append(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": f"test-{name}"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", **meta}],
            }
        )
    async with Kube.connect(Path(lab.kubeconfig)) as kube:
        for body in wanted:
            try:
                await kube.create(body)
            except KubeError as error:
                if error.status != 409:  # another module of the session has made it
                    raise
    return Path(await lab.service_account_kubeconfig("driftd", name))


async def run_as(one: Stage, who: Path, *arguments: str) -> Ran:
    """A command that asks this stage's daemon."""
    return await asyncio.to_thread(driftd, *arguments, "--api", one.daemon.api, "--kubeconfig", str(who))


async def approve(one: Stage, commit: str) -> None:
    """Have the operator let a held revision pass."""
    done = await run_as(one, await account(one.lab, "operator", "driftd-operator"), "approve", commit)
    assert done.code == 0, done.err
