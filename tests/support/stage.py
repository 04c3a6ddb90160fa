"""A lab with driftd on it: the administrator's hands, the daemon, and what the audit log says of both."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from driftd.compile import Compiled, Mode, compile_model
from driftd.lab import Lab
from driftd.model import SourceFile, load
from driftd.policy.kinds import KINDS, World, digest_of
from driftd.values import ObjectRef
from tests.oracle.never_looser import Violation, never_looser
from tests.oracle.replay import Key, Record, State, read, replay
from tests.oracle.tallies import Heal, tamper_to_heal
from tests.support.daemon import RUN, Daemon
from tests.support.kube import Kube

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
INSTALLED = (ROOT / "deploy" / "manifests" / "rbac.yaml", ROOT / "deploy" / "manifests" / "admission.yaml")
DRIFTD = "system:serviceaccount:driftd:driftd"
_PLURALS = {
    "NetworkPolicy": ("networking.k8s.io", "networkpolicies"),
    "Namespace": ("", "namespaces"),
}

Body = dict[str, Any]


def compiled_models(root: Path) -> Compiled:
    """A model directory compiled in this process: what the cluster ought to hold."""
    found = sorted(root.rglob("*.yaml"))
    return _compiled(tuple(SourceFile(file.relative_to(root).as_posix(), file.read_bytes()) for file in found))


@lru_cache(maxsize=8)
def _compiled(files: tuple[SourceFile, ...]) -> Compiled:
    model = load(files).model
    assert model is not None
    return compile_model(model)


def canonical_state(compiled: Compiled) -> State:
    """The same as the oracle takes it."""
    objects = {}
    for governed in compiled.governed.values():
        for ref, desired in governed.objects.items():
            if ref.kind in _PLURALS:
                group, plural = _PLURALS[ref.kind]
                objects[Key(group, plural, ref.namespace, ref.name)] = desired.body()
    return State(objects)


@dataclass
class Stage:
    """One test's view: `kube` is the administrator; records are those since the stage was set."""

    lab: Lab
    kube: Kube
    daemon: Daemon
    models: Path
    _offset: int = 0
    _marked: datetime = field(default_factory=lambda: datetime.now(UTC))
    _initial: State = field(default_factory=State)

    async def mark(self) -> None:
        """Let the account of this test begin here."""
        objects = {}
        for kind, (group, plural) in _PLURALS.items():
            for body in await self.kube.list(kind):
                meta = body["metadata"]
                objects[Key(group, plural, meta.get("namespace", ""), meta["name"])] = body
        self._initial = State(objects)
        self._offset = Path(self.lab.audit_log).stat().st_size
        self._marked = datetime.now(UTC)

    def records(self) -> list[Record]:
        """Finished requests since the mark."""
        with Path(self.lab.audit_log).open("rb") as log:
            log.seek(self._offset)
            return read(log.read().splitlines(keepends=True))

    def writes(self, *, outside_own: bool = True) -> list[Record]:
        """driftd's own successful writes since the mark, those into its own namespace left out."""
        return [
            record
            for record in self.records()
            if record.user == DRIFTD
            and record.is_write
            and record.succeeded
            and record.key.resource != "events"
            and record.key.group not in ("authorization.k8s.io", "authentication.k8s.io")  # questions, stored nowhere
            and not (outside_own and record.key.namespace == "driftd")
        ]

    def heals(self) -> list[Heal]:
        """Every tampering by the administrator since the mark, and its repair."""
        return tamper_to_heal(self.records(), DRIFTD, {"admin"})

    def loosened(self) -> list[Violation]:
        """Moments since the mark in which driftd's own writes opened what ought to be closed (D7)."""
        canonical = canonical_state(compiled_models(self.models))
        return never_looser(replay(self.records(), self._initial), canonical, DRIFTD)

    async def until(self, what: str, holds: Callable[[], Awaitable[bool]], seconds: float = 15.0) -> None:
        """Wait until a condition on the cluster holds."""
        try:
            async with asyncio.timeout(seconds):
                while not await holds():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s: {what}\n{self.daemon.tail()}") from None

    async def differing(self) -> list[str]:
        """Enforced objects that are not as the model has them, compared by driftd's own digests."""
        compiled = compiled_models(self.models)
        lives = {}
        for kind in (one for one in KINDS.values() if not one.dialect):
            for body in await self.kube.list(kind.resource.kind):
                meta = body["metadata"]
                resource = kind.resource
                lives[ObjectRef(resource.group, resource.kind, meta.get("namespace", ""), meta["name"])] = body
        found = []
        for governed in compiled.governed.values():
            for ref, desired in governed.objects.items():
                if governed.mode_of(ref.kind) is Mode.REPORT:
                    continue
                live = lives.get(ref)
                if live is None or digest_of(KINDS[ref.group, ref.kind], live, compiled.coverage) != desired.digest:
                    found.append(str(ref))
            for ref in lives:
                closed = governed.closed and KINDS[ref.group, ref.kind].world is World.CLOSED
                enforced = governed.mode_of(ref.kind) is Mode.ENFORCE
                if ref.namespace == governed.name and ref not in governed.objects and closed and enforced:
                    found.append(f"extra {ref}")
        return found

    async def canonical(self, seconds: float = 45.0) -> None:
        """Wait until the whole cluster is as the model has it."""

        async def holds() -> bool:
            return not await self.differing()

        try:
            await self.until("the cluster is canonical", holds, seconds)
        except AssertionError as error:
            raise AssertionError(f"still different: {await self.differing()}\n{error}") from None


def copy_models(target: Path, source: Path = MODELS) -> Path:
    """A model that a test may change."""
    shutil.copytree(source, target)
    return target


async def install(kube: Kube) -> None:
    """The shipped rights, and the shipped policies that hold driftd to its epoch and its bounds."""
    for file in INSTALLED:
        await kube.apply_file(file)


async def forget_other_databases(lab: Lab) -> None:
    """Take away the lease, in which former daemons have noted evidence that a new database lacks: that is a page."""
    async with Kube.connect(Path(lab.kubeconfig)) as kube:
        if await kube.find("Lease", "driftd", "driftd") is not None:
            await kube.delete("Lease", "driftd", "driftd")


async def forget_platform(lab: Lab, models: Path = MODELS, seconds: float = 60.0) -> None:
    """Take away the namespaces that driftd has made on the lab, and its canary: to others they are strangers."""
    async with Kube.connect(Path(lab.kubeconfig)) as kube:
        made = [("Namespace", "", name) for name in compiled_models(models).governed]
        made.append(("LimitRange", "driftd", "driftd-canary"))
        there = [one for one in made if await kube.find(*one) is not None]
        for one in there:
            await kube.delete(*one)
        async with asyncio.timeout(seconds):
            while any([await kube.find(*one) for one in there]):
                await asyncio.sleep(0.1)


@asynccontextmanager
async def stage(
    lab: Lab,
    data: Path,
    *,
    models: Path = MODELS,
    env: dict[str, str] | None = None,
    start: bool = True,
    program: Sequence[str] = RUN,
) -> AsyncIterator[Stage]:
    """driftd as its own ServiceAccount with the shipped rights, on a lab, until the block ends."""
    async with Kube.connect(Path(lab.kubeconfig)) as kube:
        await install(kube)
        kubeconfig = Path(await lab.service_account_kubeconfig("driftd", "driftd"))
        daemon = Daemon(kubeconfig=kubeconfig, models=models, data=data, env=env, program=program)
        one = Stage(lab, kube, daemon, models)
        try:
            if start:
                await daemon.start()
                await one.canonical()
            await one.mark()
            yield one
            if start:
                assert not daemon.unhandled(), daemon.unhandled()
        finally:
            if daemon.process is not None and daemon.process.poll() is None:
                await daemon.kill() if not start else await daemon.stop()


def documents(text: str) -> list[Body]:
    """The documents of a YAML text."""
    return [document for document in yaml.safe_load_all(text) if document]
