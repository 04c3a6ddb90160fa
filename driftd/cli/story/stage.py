"""The stage: a lab, the example platform on it, driftd over it, and the people. It is gone when the block ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from driftd.cli.exits import Exit
from driftd.cli.failures import CommandError
from driftd.cli.story.assets import Assets
from driftd.cli.story.daemon import ACCOUNT, NAMESPACE, Daemon, running_daemon
from driftd.cli.story.evidence import Records, Trail
from driftd.cli.story.hands import Hands, far_too_many_rights, hands
from driftd.cli.story.narrator import Narrator
from driftd.cli.story.outcome import Installation
from driftd.cli.story.tracing import Traces, taking_traces
from driftd.cli.story.truth import Truth
from driftd.compile import Compiled
from driftd.lab import AuditLog, Lab, LabOptions

TAMPERER = "mallory"
_CLIENT = "kubectl-edit"
"""What her client calls itself: anybody may say so, and therefore it is a claim."""
_INSTALL_SECONDS = 60.0
_LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that is there while the play goes on. `traces` are empty unless there are nodes."""

    lab: Lab
    daemon: Daemon
    models: Path
    tamperers_kubeconfig: Path
    administrator: Hands
    tamperer: Hands
    trail: Trail
    records: Records
    truth: Truth
    traces: Traces


@asynccontextmanager
async def stage(assets: Assets, compiled: Compiled, narrator: Narrator, *, nodes: int = 0) -> AsyncIterator[Stage]:
    """Set it, and take it down in reverse order, whatever ends the block. With `nodes`, pods can run on it.

    Raises:
        LabError, ClusterError, CommandError: some of it could not be set up; nothing of it is left then.
    """
    async with AsyncExitStack() as stack:
        with narrator.working("starting a control plane") as progress:
            lab = await Lab.launch(options=LabOptions(nodes=nodes), say=progress)
        stack.push_async_callback(_close, lab)
        narrator.lab(lab)
        administrator = await stack.enter_async_context(hands(lab.kubeconfig, "platform-team"))
        tamperers = lab.kubeconfig_for(TAMPERER)
        tamperer = await stack.enter_async_context(hands(tamperers, _CLIENT))
        await _grant(administrator, assets, compiled)
        narrator.rights(TAMPERER)
        folder = lab.data_dir / "story"
        models = await asyncio.to_thread(assets.copy_models, folder / "models")
        trail, truth = Trail(AuditLog(*lab.audit_logs)), Truth(administrator, compiled)
        trail.begin()
        traces = await stack.enter_async_context(taking_traces()) if nodes else Traces()
        with narrator.working("driftd starts, and installs the platform"):
            kubeconfig = await lab.service_account_kubeconfig(NAMESPACE, ACCOUNT)
            daemon = await stack.enter_async_context(
                running_daemon(kubeconfig, models, folder / "data", traces.endpoint)
            )
            await whole(truth, "", _INSTALL_SECONDS)
        narrator.installed(daemon, _installed(trail, truth))
        stack.callback(narrator.leaving)
        yield Stage(lab, daemon, models, tamperers, administrator, tamperer, trail, Records(daemon), truth, traces)


async def whole(truth: Truth, namespace: str, seconds: float) -> None:
    """Wait until a namespace, or without one all of them, is as the model has it.

    Raises:
        CommandError: it was not within that time (exit code 1).
    """

    async def is_whole() -> bool:
        return not await truth.differing(namespace)

    try:
        await until(is_whole, f"{namespace or 'the cluster'} is as the model has it", seconds)
    except CommandError as error:
        differing = ", ".join(map(str, await truth.differing(namespace)))
        raise CommandError(f"{error}; these differ: {differing}", Exit.DRIFT) from None


async def until(holds: Callable[[], Awaitable[bool]], what: str, seconds: float) -> None:
    """Wait until something holds on the API server. Raises `CommandError` (exit code 1) when it never does."""
    try:
        async with asyncio.timeout(seconds):
            while not await holds():  # noqa: ASYNC110 - the condition is on the API server
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        raise CommandError(f"still not so after {seconds:.0f} s: {what}", Exit.DRIFT) from None


async def _grant(administrator: Hands, assets: Assets, compiled: Compiled) -> None:
    """What must be there before driftd: its own rights, those of the tamperer, and namespaces it only adopts."""
    for manifest in assets.installed:
        await administrator.create_all(manifest)
    for body in far_too_many_rights(TAMPERER):
        await administrator.create(body)
    for governed in compiled.governed.values():
        if governed.lifecycle == "adopt":
            await administrator.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": governed.name}})


async def _close(lab: Lab) -> None:
    await asyncio.shield(lab.close())


def _installed(trail: Trail, truth: Truth) -> Installation:
    """What the daemon made of an empty cluster, counted in the audit log."""
    made = [record for record in trail.repairs() if record.ref is not None and record.verb == "create"]
    resources = [record.ref.resource for record in made if record.ref is not None]
    span = made[-1].stage_at - made[0].received_at
    return Installation(
        namespaces=resources.count("namespaces"),
        policies=resources.count("networkpolicies"),
        objects=len(made),
        milliseconds=span.total_seconds() * 1000,
        watched_only=truth.watched_only,
    )
