"""driftd as users run it: its image in a pod of the lab's node, installed from the chart, its data on a volume."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftd.lab import Lab
from tests.deploy.rendered import FILES, MANIFESTS
from tests.support.daemon import Daemon
from tests.support.faulty import Evidence, evidence
from tests.support.git_server import SshServer
from tests.support.helm import CHART, NoHelmError, find_helm, run
from tests.support.image import IMAGE
from tests.support.kube import Kube, KubeError
from tests.support.stage import MODELS, Body, Stage, compiled_models, documents

NAMESPACE = "driftd"
SCRAPERS = "monitoring"
"""The namespace that the installation lets at the metrics."""
_READY_SECONDS = 120.0
_RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@dataclass(frozen=True)
class Home:
    """One installation. `data` is the volume as this machine sees it; `models` what it is to hold the cluster to."""

    lab: Lab
    models: Path
    data: Path
    helm: Path | None
    """The program that installed it; None: the plain manifests were applied."""
    values: tuple[str, ...] = ()
    """The chart's values for where its model and its records are, if not in the ConfigMap and on the volume."""
    given: tuple[Body, ...] = ()
    """What these values name, and so is there before the chart."""
    records: str = ""
    """The URL of the database, if it is not on the volume."""

    @property
    def node(self) -> str:
        return self.lab.nodes[0].name


@dataclass
class Hosted(Stage):
    """A test's view of driftd in its pod. Its `daemon` was never started: it is where the pod's log is kept."""

    home: Home | None = None

    @property
    def data(self) -> Path:
        assert self.home is not None
        return self.home.data

    async def pods(self) -> list[Body]:
        """The pods that are there to stay."""
        found = [pod for pod in await self.kube.list("Pod", NAMESPACE) if _is_driftd(pod)]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    async def pod(self) -> Body | None:
        """The pod that is there to stay, if there is one."""
        return next(iter(await self.pods()), None)

    async def ready_pod(self, *, unlike: str = "", seconds: float = _READY_SECONDS) -> Body:
        """The pod, once it is Ready; with `unlike`, another one than that of this uid."""
        found: list[Body] = []

        async def ready() -> bool:
            pod = await self.pod()
            found[:] = [pod] if pod is not None else []
            return pod is not None and pod["metadata"]["uid"] != unlike and is_ready(pod)

        try:
            await self.until("driftd's pod is Ready", ready, seconds)
        except AssertionError as error:
            raise AssertionError(f"{[pod.get('status') for pod in found]}\n{await self.said()}\n{error}") from None
        return found[0]

    async def said(self) -> str:
        """What the pod has printed; also put where `daemon` looks for it."""
        pod = await self.pod()
        text = await self.lab.pods.logs(NAMESPACE, pod["metadata"]["name"]) if pod is not None else ""
        self.daemon.log_path.write_text(text)
        return text

    async def run(self, *command: str) -> str:
        """What a command in the pod prints; it must end well."""
        pod = await self.ready_pod()
        done = await self.lab.pods.exec(NAMESPACE, pod["metadata"]["name"], *command)
        assert done.code == 0, done
        return done.out

    async def python(self, program: str) -> Any:
        """What a Python program in the pod prints as JSON."""
        return json.loads(await self.run("/opt/driftd/bin/python", "-c", program))

    async def evidence(self) -> Evidence:
        assert self.home is not None
        return await evidence(self.home.records or self.home.data)

    async def sound(self, seconds: float = 60.0) -> Evidence:
        """Wait for the canonical state with every write accounted for; the chain whole, nothing ever looser."""
        await self.canonical(seconds)

        async def settled() -> bool:
            return not (await self.evidence()).unsettled

        await self.until("every intent is settled", settled, seconds)
        found = await self.evidence()
        assert found.chain.ok, found.chain
        assert await asyncio.to_thread(self.loosened) == []
        await self.said()
        assert not self.daemon.unhandled(), self.daemon.unhandled()
        return found


@asynccontextmanager
async def installed(lab: Lab, archive: Path) -> AsyncIterator[Home]:
    """The image in the first node, and the chart with the example platform; all of it taken away at the end."""
    try:
        helm = find_helm()
    except NoHelmError:
        helm = None
    async with standing(Home(lab, _flat_models(lab), _data(lab), helm), archive) as home:
        yield home


async def install_big(lab: Lab, archive: Path, write: Callable[[Path], object]) -> Home:
    """The same with a model that no ConfigMap can hold, written to the volume. Raises `NoHelmError`.

    Nothing of it is taken away: a thousand namespaces end sooner with their lab.
    """
    models = _data(lab) / "model"
    models.mkdir(parents=True)
    write(models)
    home = Home(lab, models, _data(lab), find_helm(), ("settings.model.path=/var/lib/driftd/model",))
    await lab.nodes[0].load_image(archive)
    await _install(home)
    return home


@asynccontextmanager
async def standing(home: Home, archive: Path, *, nodes: int = 1) -> AsyncIterator[Home]:
    """An installation, with its image in so many nodes, until the block ends."""
    for node in home.lab.nodes[:nodes]:
        await node.load_image(archive)
    try:
        await _install(home)
        yield home
    finally:
        await _remove(home)


@asynccontextmanager
async def hosted(home: Home, *, seconds: float = _READY_SECONDS) -> AsyncIterator[Hosted]:
    """A test's account, begun with a Ready pod and the cluster as the model has it, each within so many seconds."""
    async with Kube.connect(home.lab.kubeconfig) as kube:
        one = view(home, kube)
        await one.ready_pod(seconds=seconds)
        await one.canonical(seconds)
        await one.mark()
        yield one


def view(home: Home, kube: Kube) -> Hosted:
    """An account that is not begun, of an installation in whatever state."""
    return Hosted(home.lab, kube, log_of(home), home.models, home=home)


def secret(name: str, files: dict[str, str]) -> Body:
    """A Secret in driftd's namespace."""
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": files}


def git_values(server: SshServer) -> list[str]:
    """The chart's values for a model in git over ssh, where the Secret `model-key` has `key` and `known_hosts`."""
    settings = {
        "url": f"ssh://{server.user}@{server.host}:{server.port}{server.root}/model.git",
        "ssh_key_file": "/etc/driftd/model-key/key",
        "known_hosts_file": "/etc/driftd/model-key/known_hosts",
        "poll_seconds": "2",
    }
    return [f"settings.model.git.{name}={value}" for name, value in settings.items()]


def log_of(home: Home) -> Daemon:
    """A daemon that is never started, for its log."""
    return Daemon(kubeconfig=home.lab.kubeconfig, models=home.models, data=home.lab.data_dir / "driftd-log")


def _data(lab: Lab) -> Path:
    return lab.data_dir / "driftd-volume"


def _flat_models(lab: Lab) -> Path:
    """The example platform as a ConfigMap holds it, without folders, and with this lab's addresses.

    The Falco ruleset names its files by their folder, and so stays out.
    """
    target = lab.data_dir / "driftd-model"
    target.mkdir(exist_ok=True)
    for path, text in platform_files(lab).items():
        if path.parts[0] != "falco":
            (target / "--".join(path.parts)).write_text(text)
    return target


def platform_files(lab: Lab) -> dict[Path, str]:
    """Its files by their path, with the addresses that this lab has."""
    prefix = lab.nodes[0].address.rpartition(".")[0]
    files = MODELS.rglob("*.yaml")
    return {file.relative_to(MODELS): file.read_text().replace("10.99.0.", f"{prefix}.") for file in files}


def _volume(home: Home) -> Body:
    """A folder of the node for the chart's claim, as a node with a local disk offers it."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "driftd"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": NAMESPACE, "name": "driftd"},
            "local": {"path": str(home.data)},
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {"key": "kubernetes.io/hostname", "operator": "In", "values": [home.node]}
                            ]
                        }
                    ]
                }
            },
        },
    }


def _given(home: Home) -> list[Body]:
    """What is there before driftd is: its namespace, its volume, its model."""
    model = {} if home.values else {file.name: file.read_text() for file in home.models.iterdir()}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": _RESTRICTED}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SCRAPERS}},
        _volume(home),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "driftd-model", "namespace": NAMESPACE},
            "data": model,
        },
        *home.given,
    ]


def _plain_manifests() -> list[Body]:
    """The manifests as they are shipped, with the name that the image has here."""
    found = [body for name in FILES.values() for body in documents((MANIFESTS / name).read_text())]
    for body in found:
        if body["kind"] == "Deployment":
            body["spec"]["template"]["spec"]["containers"][0]["image"] = IMAGE
    return found


async def _install(home: Home) -> None:
    home.data.mkdir(exist_ok=True)
    async with Kube.connect(home.lab.kubeconfig) as kube:
        await kube.apply(_given(home))
        if home.helm is None:
            await kube.apply(_plain_manifests())
            return
    await _upgrade(home, home.values or _FROM_THE_CONFIG_MAP)


@asynccontextmanager
async def reinstalled(home: Home, *values: str) -> AsyncIterator[None]:
    """The chart with other values for where its model is, until the block ends."""
    await _upgrade(home, values)
    try:
        yield
    finally:
        await _upgrade(home, home.values or _FROM_THE_CONFIG_MAP)


_FROM_THE_CONFIG_MAP = ("model.configMap=driftd-model",)


async def _upgrade(home: Home, model: Sequence[str]) -> None:
    assert home.helm is not None
    repository, _, tag = IMAGE.rpartition(":")
    values = [
        f"image.repository={repository},image.tag={tag}",
        *model,
        f"networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name={SCRAPERS}",
    ]
    await _helm(
        home.helm,  # what other modules of the session applied from the manifests gives way
        "upgrade", "--install", "driftd", str(CHART), "--take-ownership", "--force-conflicts",
        "--namespace", NAMESPACE, "--kubeconfig", str(home.lab.kubeconfig), "--set", ",".join(values),
    )  # fmt: skip


async def _helm(program: Path, *args: str) -> None:
    done = await asyncio.to_thread(run, program, args)
    assert done.returncode == 0, done.stdout + done.stderr


async def _remove(home: Home) -> None:
    """As `helm uninstall` does; then what that keeps, what was there before, and the model's namespaces.

    The API server is new.
    """
    async with Kube.connect(home.lab.kubeconfig) as kube:
        if home.helm is not None:
            await _helm(
                home.helm, "uninstall", "driftd", "--namespace", NAMESPACE, "--kubeconfig", str(home.lab.kubeconfig)
            )
        for body in reversed(_plain_manifests()):
            if body["kind"] != "Namespace":
                await _delete(kube, body)
        for body in reversed(_given(home)):
            if body["metadata"]["name"] != NAMESPACE:
                await _delete(kube, body)
        deadline = time.monotonic() + _READY_SECONDS
        while [pod for pod in await kube.list("Pod", NAMESPACE) if _is_driftd(pod)]:
            assert time.monotonic() < deadline, "driftd's pod does not end"
            await asyncio.sleep(0.1)
        made = set(compiled_models(home.models).governed)  # another model would be held for what it finds there
        for name in made:
            await _delete(kube, {"kind": "Namespace", "metadata": {"name": name}})
        while made & {body["metadata"]["name"] for body in await kube.list("Namespace")}:
            assert time.monotonic() < deadline, "the platform's namespaces do not end"
            await asyncio.sleep(0.1)
    # An API server whose last binding with a ConfigMap as parameter went never again learns of a changed one, until it
    # is started anew (kubernetes/kubernetes#130887): the next installation's fence would let former leaders through.
    await home.lab.apiserver.stop()
    await home.lab.apiserver.start()


async def _delete(kube: Kube, body: Body) -> None:
    meta = body["metadata"]
    try:
        await kube.delete(body["kind"], meta.get("namespace", ""), meta["name"])
    except KubeError as error:
        if error.status != 404:
            raise


def _is_driftd(pod: Body) -> bool:
    return bool(pod["metadata"].get("labels", {}).get("app.kubernetes.io/name") == "driftd")


def is_ready(pod: Body) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
