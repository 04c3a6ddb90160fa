"""What the benches stand on: a control plane, a generated platform installed on it, and the daemon as users run it."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from driftd.compile import Compiled
from driftd.lab import Lab
from driftd.settings import Settings
from driftd.values import Desired
from tests.bench.figures import Figure
from tests.oracle.replay import Record, read
from tests.support.daemon import QUICK, RUN, Daemon
from tests.support.kube import Kube, KubeError
from tests.support.platform import write_platform
from tests.support.stage import compiled_models, install

SETTLE_SECONDS = 5.0
_HANDS = 16


def _shipped(variable: str) -> str:
    """The default of the setting behind an environment variable."""
    part, field_name = variable.removeprefix("DRIFTD_").lower().split("__")
    return str(getattr(Settings.model_fields[part].default, field_name))


_DEFAULTS = {variable: _shipped(variable) for variable in QUICK} | {
    "DRIFTD_AUDIT__RELIST_SECONDS": "60",  # 300 in production: here so that audits fall into every measurement
}
"""The shipped settings, in place of the quick ones of the tests."""


@dataclass
class Ground:
    """The lab with everything a bench needs. `compiled` is what the cluster ought to hold once `install` is done."""

    lab: Lab
    kube: Kube
    scratch: Path
    namespaces: int
    say: Callable[[str], None]
    compiled: Compiled = field(init=False)
    figures: list[Figure] = field(default_factory=list)
    _kubeconfig: Path = field(init=False)
    _starts: int = 0

    @property
    def models(self) -> Path:
        return self.scratch / "models"

    async def prepare(self) -> None:
        """Rights, credentials and the model; nothing of the platform is on the cluster yet."""
        await install(self.kube)
        self._kubeconfig = Path(await self.lab.service_account_kubeconfig("driftd", "driftd"))
        write_platform(self.models, self.namespaces)
        write_platform(self.scratch / "empty", 0)
        self.compiled = await asyncio.to_thread(compiled_models, self.models)

    async def install(self) -> None:
        """Put every object of the model on the cluster, as an administrator would before driftd is there."""
        await put(self.kube, self.compiled, self.compiled.governed)

    def daemon(
        self,
        *,
        models: Path | None = None,
        data: Path | None = None,
        env: dict[str, str] | None = None,
        identity: str = "one",
        program: Sequence[str] = RUN,
    ) -> Daemon:
        """driftd as its ServiceAccount with the shipped settings; with compiled bytecode, as an installation has it."""
        self._starts += 1
        cache = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(self.scratch / "bytecode")}
        return Daemon(
            kubeconfig=self._kubeconfig,
            models=models or self.models,
            data=data or self.scratch / f"data-{self._starts}",
            identity=identity,
            env={**_DEFAULTS, **cache, **(env or {})},
            patience=600.0,
            program=program,
        )

    def tail(self) -> "Tail":
        """The requests that the API server finishes from now on."""
        return Tail.of(self.lab)

    def note(
        self, name: str, value: float, unit: str, goal: float | None = None, *, at_least: bool = False, note: str = ""
    ) -> None:
        """Keep a figure, with the load at this moment, and say it."""
        figure = Figure(name, value, unit, goal, at_least, note, os.getloadavg()[0])
        self.figures.append(figure)
        self.say(
            f"{name}: {value:.4g} {unit}" + ("" if figure.met is None else f" ({'met' if figure.met else 'NOT met'})")
        )


@dataclass
class Tail:
    """An audit log as it grows."""

    log: Path
    offset: int
    records: list[Record] = field(default_factory=list)

    @classmethod
    def of(cls, lab: Lab) -> Self:
        """A lab's, from now on."""
        log = Path(lab.audit_log)
        return cls(log, log.stat().st_size)

    def read(self) -> list[Record]:
        """What was written since the last look; `records` has all of it."""
        with self.log.open("rb") as file:
            file.seek(self.offset)
            whole = file.read().rpartition(b"\n")[0]
        if not whole:
            return []
        self.offset += len(whole) + 1
        fresh = read(whole.splitlines(keepends=True))
        self.records += fresh
        return fresh


@asynccontextmanager
async def ground(namespaces: int, scratch: Path, say: Callable[[str], None]) -> AsyncIterator[Ground]:
    """A lab of its own, gone at the end."""
    async with Lab.start(say=say) as lab, Kube.connect(Path(lab.kubeconfig)) as kube:
        one = Ground(lab, kube, scratch, namespaces, say)
        await one.prepare()
        yield one


async def put(kube: Kube, compiled: Compiled, names: Iterable[str]) -> None:
    """Put these namespaces on the cluster, with all that the model has in them."""

    async def create(desired: Desired) -> None:
        body, ref = desired.body(), desired.ref
        try:
            await kube.create(body)
        except KubeError as error:
            if error.status != 409:
                raise
            await kube.merge(ref.kind, ref.namespace, ref.name, body)

    everything = [one for name in names for one in compiled.governed[name].objects.values()]
    await each([one for one in everything if one.ref.kind == "Namespace"], create)
    await each([one for one in everything if one.ref.kind != "Namespace"], create)


async def each(items: Iterable[Desired], work: Callable[[Desired], Awaitable[None]], hands: int = _HANDS) -> None:
    """Do the work for every item, so many at a time."""
    waiting = iter(items)

    async def hand() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(hands):
            group.create_task(hand())
