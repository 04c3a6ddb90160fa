"""Two replicas as users have them: the chart on two nodes, one PostgreSQL, the model in git, and a proxy between.

All is as the chart has it but for the way to the API server, where a fault proxy of this machine can hold a write that
a pod has sent; who it is, the pod says by the token of its own ServiceAccount.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from driftd.cluster.credentials import SERVICE_ACCOUNT
from driftd.lab import Lab
from tests.support.git_server import Upstream, ssh_server
from tests.support.helm import find_helm
from tests.support.hosted import NAMESPACE, Home, Hosted, git_values, is_ready, log_of, platform_files, secret, standing
from tests.support.kube import Body, Kube
from tests.support.postgres import postgres
from tests.support.proxy import Proxy, fault_proxy
from tests.support.replicas import holder
from tests.support.stage import forget_other_databases

COUNT = 2
_POSTGRES_PORT = 5432
_PROXY_PORT = 443
"""The ports that the chart's own NetworkPolicy lets a pod reach when it knows the address from a Secret."""


@dataclass(frozen=True)
class Around:
    """What stands around an installation of two replicas. Its model is the work tree of `upstream`."""

    home: Home
    upstream: Upstream
    proxy: Proxy


@dataclass
class HostedReplicas(Hosted):
    """A test's view of both pods. Of what `Hosted` says of one pod, it is the leader's that is meant."""

    around: Around | None = None

    @property
    def proxy(self) -> Proxy:
        assert self.around is not None
        return self.around.proxy

    async def pod(self) -> Body | None:
        leader = await holder(self.kube)
        return next((pod for pod in await self.pods() if name_of(pod) == leader), None)

    async def both(self, *, without: Sequence[Body] = (), seconds: float = 120.0) -> tuple[Body, Body]:
        """Leader and stand-by, once two pods are there to stay, both Ready, and none of those `without`."""
        found: list[Body] = []
        gone = {name_of(pod) for pod in without}

        async def stand() -> bool:
            leader = await holder(self.kube)
            found[:] = sorted(await self.pods(), key=lambda pod: name_of(pod) != leader)
            names = [name_of(pod) for pod in found]
            return len(names) == COUNT and names[0] == leader and not gone & {*names} and all(map(is_ready, found))

        try:
            await self.until("both replicas are Ready and one of them leads", stand, seconds)
        except AssertionError as error:
            raise AssertionError(f"{[pod.get('status') for pod in found]}\n{await self.said()}\n{error}") from None
        return found[0], found[1]

    async def said(self) -> str:
        """What both pods have printed; also put where `daemon` looks for it."""
        text = "".join([await self.lab.pods.logs(NAMESPACE, name_of(pod)) for pod in await self.pods()])
        self.daemon.log_path.write_text(text)
        return text

    async def led_by(self, pod: Body, seconds: float) -> None:
        """Wait until this pod holds the lease."""

        async def holds() -> bool:
            return await holder(self.kube) == name_of(pod)

        await self.until(f"{name_of(pod)} leads", holds, seconds)

    async def roll(self) -> None:
        """What `kubectl rollout restart` writes."""
        mark = {"annotations": {"kubectl.kubernetes.io/restartedAt": datetime.now(UTC).isoformat(timespec="seconds")}}
        await self.kube.merge("Deployment", NAMESPACE, "driftd", {"spec": {"template": {"metadata": mark}}})


@asynccontextmanager
async def replicas_on_nodes(lab: Lab, archive: Path, folder: Path) -> AsyncIterator[Around]:
    """Both, installed on two nodes with the example platform; all taken away at the end. Raises `NoHelmError`."""
    helm = find_helm()
    machine = lab.nodes[0].address.rpartition(".")[0] + ".1"
    upstream = Upstream(folder / "git")
    upstream.commit({str(path): text for path, text in platform_files(lab).items()})
    async with AsyncExitStack() as stack:
        server = stack.enter_context(postgres(machine, _POSTGRES_PORT))
        git = stack.enter_context(ssh_server(upstream, machine))
        proxy = await stack.enter_async_context(fault_proxy(lab, folder, host=machine, port=_PROXY_PORT))
        url = server.new_database()
        secrets = (
            secret("store", {"url": url}),
            secret("model-key", {"key": git.key.read_text(), "known_hosts": git.known_hosts.read_text()}),
            secret("way", {"kubeconfig": _kubeconfig(proxy.url)}),
        )
        values = (
            f"replicas={COUNT}",
            "store.urlSecret.name=store",
            *git_values(git),
            "settings.api.kubeconfig=/etc/driftd/way/kubeconfig",
            *(f"secretFiles[{number}]={name}" for number, name in enumerate(("model-key", "way"))),
        )
        home = Home(lab, upstream.work, folder, helm, values, secrets, url)
        await forget_other_databases(lab)
        await stack.enter_async_context(standing(home, archive, nodes=COUNT))
        yield Around(home, upstream, proxy)


@asynccontextmanager
async def hosted_replicas(around: Around) -> AsyncIterator[HostedReplicas]:
    """A test's account, begun with both pods Ready and the cluster as the model has it."""
    home = around.home
    async with Kube.connect(home.lab.kubeconfig) as kube:
        one = HostedReplicas(home.lab, kube, log_of(home), home.models, home=home, around=around)
        await one.both(seconds=240.0)
        await one.canonical(120.0)
        await one.mark()
        yield one


def name_of(pod: Body) -> str:
    """The pod's name, which is who holds the lease."""
    return str(pod["metadata"]["name"])


def _kubeconfig(server: str) -> str:
    """The pod's own credentials, another way to the server."""
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "it", "cluster": {"server": server, "certificate-authority": f"{SERVICE_ACCOUNT}/ca.crt"}}
        ],
        "users": [{"name": "it", "user": {"tokenFile": f"{SERVICE_ACCOUNT}/token"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }
    return yaml.safe_dump(body)
