"""One daemon for all tests of a module: started once, looked at by each test with an account of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftd.compile import Mode
from driftd.lab import Lab
from tests.support.control_plane import run_apart
from tests.support.daemon import Daemon
from tests.support.faulty import Evidence, Scene, is_drift
from tests.support.kube import Kube
from tests.support.stage import MODELS, compiled_models, install


@dataclass
class Standing:
    """A daemon that outlives single tests, and what it works on."""

    lab: Lab
    models: Path
    data: Path
    daemon: Daemon

    def restart(self, env: dict[str, str] | None = None) -> None:
        """End the daemon in good order and start one on the same data, `env` added to its settings."""
        run_apart(self.daemon.stop())
        self.daemon = run_apart(_started(self.lab, self.models, self.data, env))


@contextmanager
def standing(lab: Lab, data: Path, *, models: Path = MODELS, env: dict[str, str] | None = None) -> Iterator[Standing]:
    """driftd with the shipped rights; for a fixture of a module's scope, so its work runs in a loop of its own."""
    one = Standing(lab, models, data, run_apart(_started(lab, models, data, env)))
    try:
        yield one
    finally:
        process = one.daemon.process
        if process is not None and process.poll() is None:
            run_apart(one.daemon.stop())


@asynccontextmanager
async def on(one: Standing, first: Callable[[Scene], Awaitable[None]] | None = None) -> AsyncIterator[Scene]:
    """A test's scene: canonical at first; at the end nothing was loosened meanwhile and no error went unhandled.

    `first` is done before the scene is canonical.
    """
    async with Kube.connect(Path(one.lab.kubeconfig)) as kube:
        scene = Scene(one.lab, kube, one.daemon, one.models, data=one.data)
        if first is not None:
            await first(scene)
        await scene.canonical(60.0)
        await scene.mark()
        yield scene
        assert scene.loosened() == []
        assert not one.daemon.unhandled(), one.daemon.unhandled()


async def _started(lab: Lab, models: Path, data: Path, env: dict[str, str] | None) -> Daemon:
    async with Kube.connect(Path(lab.kubeconfig)) as kube:
        await install(kube)
    kubeconfig = Path(await lab.service_account_kubeconfig("driftd", "driftd"))
    daemon = Daemon(kubeconfig=kubeconfig, models=models, data=data, env=env)
    await daemon.start(ready=False)
    try:
        await daemon.wait_ready(120.0)
    except BaseException:
        await daemon.kill()
        raise
    return daemon


def restored(models: Path, source: Path = MODELS) -> None:
    """Put a copy of a model back to its source, file by file, so that no moment is an empty model."""
    for file in sorted(source.rglob("*")):
        target = models / file.relative_to(source)
        if file.is_file() and (not target.is_file() or target.read_bytes() != file.read_bytes()):
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(file.read_bytes())
    for file in sorted(models.rglob("*.yaml")):
        if not (source / file.relative_to(models)).is_file():
            file.unlink()


# -- waits ------------------------------------------------------------------------------------------------------------


async def gone(scene: Scene, kind: str, namespace: str, name: str, seconds: float = 30.0) -> None:
    """Wait until an object is there no more."""

    async def holds() -> bool:
        return await scene.kube.find(kind, namespace, name) is None

    await scene.until(f"{kind} {namespace}/{name} is gone", holds, seconds)


async def told(scene: Scene, type_: str, name: str, namespace: str = "", seconds: float = 30.0) -> None:
    """Wait until an open finding of this type about such an object, or a closed one, is in the records."""

    async def holds() -> bool:
        return type_ in types_about(await scene.evidence(), name, namespace)

    await scene.until(f"a finding {type_} about {namespace}/{name}", holds, seconds)


def types_about(found: Evidence, name: str, namespace: str = "") -> set[str]:
    """The types of all findings about an object, over and open."""
    return {past.seen.finding.type.value for past in found.about(name, namespace)}


async def until_event(scene: Scene, kind: str, known: int, seconds: float = 30.0) -> dict[str, Any]:
    """Wait until the daemon has logged more than `known` events of a kind; the newest of them."""

    def there() -> list[dict[str, Any]]:
        return [event for event in scene.daemon.events() if event.get("event") == kind]

    async def more() -> bool:
        return len(there()) > known

    await scene.until(f"the log has {kind} once more", more, seconds)
    return there()[-1]


async def noted(scene: Scene, kind: str, holds: Callable[[dict[str, Any]], bool], seconds: float = 30.0) -> None:
    """Wait until the daemon has logged an event of a kind for which something holds."""

    async def there() -> bool:
        return any(event.get("event") == kind and holds(event) for event in scene.daemon.events())

    await scene.until(f"the log has {kind}", there, seconds)


async def sound(scene: Scene, seconds: float = 30.0) -> Evidence:
    """Wait for the canonical state and whole records: every write settled, every finding closed that repairs can end.

    Where the model only reports, findings stay open.
    """
    await scene.canonical(seconds)
    governed = compiled_models(scene.models).governed
    last: list[str] = []

    async def recorded() -> bool:
        found = await scene.evidence()
        last[:] = [f"unsettled {one}" for one in found.unsettled]
        for past in found.findings:
            finding = past.seen.finding
            home = governed.get(finding.scope.namespace)
            repairs = home is not None and home.mode_of(finding.ref.kind) is Mode.ENFORCE
            if repairs and past.seen.closed is None and is_drift(past):
                last.append(f"open {finding.summary}")
        return not last

    try:
        await scene.until("every intent is settled and every finding closed", recorded, seconds)
    except AssertionError as error:
        raise AssertionError(f"{last}\n{error}") from None
    found = await scene.evidence()
    assert found.chain.ok, found.chain
    return found


async def quiet(seconds: float = 1.0) -> None:
    """Long enough for a watch, a queue and a rolling look to have done whatever they would."""
    await asyncio.sleep(seconds)
