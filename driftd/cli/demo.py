"""`driftd demo`: a real control plane, an example platform, a dozen tamperings, and what driftd does about each."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from driftd.cli.story import Assets, Narrator
    from driftd.compile import Compiled

_PAUSE_SECONDS = 1.0


def demo(
    stay: Annotated[
        bool, typer.Option("--stay", help="Keep everything running afterwards, and say how to look around.")
    ] = False,
    nodes: Annotated[
        int,
        typer.Option(
            "--nodes", min=0, max=9, help="First show it with packets: pods on so many nodes; needs Linux and root."
        ),
    ] = 0,
    fast: Annotated[
        bool | None,
        typer.Option(
            "--fast/--slow", help="Without pauses for reading, or with; on a terminal with, elsewhere without."
        ),
    ] = None,
) -> None:
    """Watch driftd notice, explain, repair and record every tampering with an example platform.

    It needs no cluster: etcd, an API server and a controller-manager run on this machine's loopback and are removed at
    the end. The first time, they are built for some minutes. Exit code 0 if everything was healed, 1 if not.

    With --nodes, tenants' pods run on real nodes, and the story begins with a connection between them that is dropped,
    a tampering that opens it, the packet that goes through, the repair, the page that somebody would have got, and the
    trace. Exit code 3 where nodes cannot be had; where they can, the end of a demo without them says how.
    """
    import asyncio
    import os
    import sys

    from driftd.cli.clock import today
    from driftd.cli.exits import Exit
    from driftd.cli.failures import failures_told
    from driftd.cli.sources import valid_model
    from driftd.cli.story import narrator, story_assets
    from driftd.lab import ensure_node_programs, ensure_programs, refuse_without

    slow = sys.stdout.isatty() if fast is None else not fast
    with failures_told("demo"), _faults_named():
        assets = story_assets()
        compiled = valid_model(assets.models, today()).compiled
        if nodes:
            refuse_without(os.environ)
        teller = narrator()
        teller.opening()
        with teller.working("looking for the programs of a control plane") as say:
            ensure_programs(os.environ, say)  # here, not in a thread: a build of minutes must end with a Ctrl-C
            if nodes:
                ensure_node_programs(os.environ, say)
        pause = _PAUSE_SECONDS if slow else 0.0
        good = asyncio.run(_run(assets, compiled, teller, pause=pause, stay=stay, nodes=nodes))
    raise typer.Exit(Exit.CLEAN if good else Exit.DRIFT)


async def _run(
    assets: "Assets", compiled: "Compiled", teller: "Narrator", *, pause: float, stay: bool, nodes: int
) -> bool:
    """Whether everything came out as it should."""
    import asyncio
    import signal

    from driftd.cli.story import TAMPERED, LabelsAct, OnCallAct, PacketsAct, Play, stage
    from driftd.lab import machine_lacks

    me, loop = asyncio.current_task(), asyncio.get_running_loop()
    if me is not None:
        loop.add_signal_handler(signal.SIGTERM, me.cancel)  # Ctrl-C does the same by itself
    async with stage(assets, compiled, teller, nodes=nodes) as scene:
        shown = True
        if nodes:
            shown = (await PacketsAct(scene, teller, pause=pause).perform()).good
            shown = (await OnCallAct(scene, teller, pause=pause).perform(TAMPERED)).good and shown
        shown = (await LabelsAct(scene, teller, pause=pause).perform()).good and shown
        ending = await Play(scene, teller, pause=pause).perform()
        if not nodes:
            teller.with_nodes(machine_lacks())
        if stay:
            over = asyncio.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, over.set)
            teller.staying(scene.lab, scene.daemon, scene.models, scene.tamperers_kubeconfig)
            await over.wait()
    return shown and ending.good


@contextmanager
def _faults_named() -> Iterator[None]:
    """What the lab or the API server could not do, as an error of the command: exit code 3."""
    import asyncio

    from driftd.cli.exits import Exit
    from driftd.cli.failures import CommandError
    from driftd.cluster import ClusterError
    from driftd.lab import LabError
    from driftd.store import StoreError

    try:
        yield
    except (LabError, ClusterError, StoreError, OSError) as error:
        raise CommandError(str(error), Exit.UNKNOWN) from error
    except asyncio.CancelledError:
        raise CommandError("told to end; everything that was started is gone", Exit.UNKNOWN) from None
