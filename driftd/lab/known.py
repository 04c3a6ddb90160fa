"""Labs that run on their own: kept by name in the user's state folder, found again and ended from any process."""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from driftd.lab.authority import write_private
from driftd.lab.control_plane import Lab
from driftd.lab.errors import LabNameError, LabNotFoundError, SupervisorGoneError
from driftd.lab.layout import Layout
from driftd.lab.nodes import ensure_node_programs, refuse_without
from driftd.lab.options import LabOptions
from driftd.lab.owner import Owner
from driftd.lab.programs import ensure_programs
from driftd.lab.toolchain import Say

DEFAULT_NAME = "default"
_DOCUMENT = "lab.json"


@dataclass(frozen=True, slots=True)
class LabDocument:
    """What `driftd lab up` prints: all that somebody needs to use the lab."""

    name: str
    kubeconfig: str
    server: str
    audit_log: str
    data_dir: str
    pids: Mapping[str, int]
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Addresses by name; without nodes, empty."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LabState:
    """A lab as it is now. `running`: every part runs; `degraded`: some do not; `dead`: only its folder is left."""

    document: LabDocument
    state: str
    parts: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        return {**self.document.as_dict(), "state": self.state, "parts": dict(self.parts)}


def state_folder(environ: Mapping[str, str]) -> Path:
    """Where running labs keep their data, after the XDG base directory specification."""
    base = Path(environ.get("XDG_STATE_HOME", ""))
    root = base if base.is_absolute() else Path(environ.get("HOME") or Path.home()) / ".local" / "state"
    return root / "driftd" / "lab"


class KnownLabs:
    """The labs of one state folder; a folder a lab."""

    def __init__(self, root: Path, *, options: LabOptions | None = None) -> None:
        self._root = root
        self._options = options or LabOptions()

    async def up(self, name: str, environ: Mapping[str, str], say: Say, *, nodes: int = 0) -> LabDocument:
        """Start a lab that goes on after this process, or find it running already, with however many nodes it has.

        What a machine's crash left of it is resumed with its objects, on new ports. Raises `LabError`.
        """
        layout = self._layout(name)
        if nodes:
            refuse_without(environ)
        ensure_programs(environ, say)  # before the lock: a build of minutes is no reason to block others
        if nodes:
            ensure_node_programs(environ, say)
        with self._locked():
            running = await self._running(layout)
            if running is not None:
                say(f"lab {name} is up already")
                return running.document
            if layout.root.exists():
                say(f"resuming what is left of lab {name}")
            lab = await Lab.launch(name, layout.root, options=replace(self._options, nodes=nodes), say=say)
            document = LabDocument(
                name,
                str(lab.kubeconfig),
                lab.server,
                str(lab.audit_log),
                str(lab.data_dir),
                dict(lab.pids),
                {node.name: node.address for node in lab.nodes},
            )
            write_private(layout.root / _DOCUMENT, json.dumps(document.as_dict()).encode())
            await lab.detach()
            say(f"ready after {lab.seconds_to_ready:.1f} s")
            return (await self.state(name)).document

    async def down(self, name: str) -> None:
        """End a lab and remove its data. Raises `LabNotFoundError` if there is none of that name."""
        layout = self._layout(name)
        with self._locked():
            if not (layout.root / _DOCUMENT).exists() and not layout.pki.exists():
                raise LabNotFoundError(f"There is no lab {name!r} here. Known: {', '.join(self.names()) or 'none'}.")
            owner = Owner(layout)
            try:
                await owner.shutdown(remove=True, grace=self._options.deadlines.stop_grace)
            except SupervisorGoneError:
                shutil.rmtree(layout.root)

    def names(self) -> tuple[str, ...]:
        """Every lab that has a folder, running or not, in alphabetical order."""
        return tuple(sorted(path.parent.name for path in self._root.glob("*/pki")))

    async def state(self, name: str) -> LabState:
        """How one lab is. Raises `LabNotFoundError`."""
        layout = self._layout(name)
        if not layout.pki.exists():
            raise LabNotFoundError(f"There is no lab {name!r} here. Known: {', '.join(self.names()) or 'none'}.")
        return await self._running(layout) or LabState(_document(layout), "dead", {})

    async def _running(self, layout: Layout) -> LabState | None:
        if not layout.root.exists():
            return None
        try:
            status = await Owner(layout).status()
        except SupervisorGoneError:
            return None
        parts = {name: part.state for name, part in status.parts.items()}
        pids = {name: part.pid for name, part in status.parts.items() if part.pid is not None}
        document = _document(layout, {"supervisor": status.pid, **pids})
        whole = bool(parts) and set(parts.values()) == {"running"}
        return LabState(document, "running" if whole else "degraded", parts)

    def _layout(self, name: str) -> Layout:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", name):
            raise LabNameError(f"{name!r} is no name for a lab: up to 40 small letters, digits and dashes inside.")
        return Layout(self._root / name)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One `up` or `down` at a time; the kernel drops the lock of a process that was killed."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _document(layout: Layout, pids: Mapping[str, int] | None = None) -> LabDocument:
    """The document as `up` wrote it, with today's processes; a lab whose `up` was cut short has no addresses."""
    try:
        said = json.loads((layout.root / _DOCUMENT).read_bytes())
    except FileNotFoundError:
        said = {"name": layout.root.name, "kubeconfig": "", "server": "", "audit_log": "", "data_dir": str(layout.root)}
    return LabDocument(**{**said, "pids": dict(pids or {})})
