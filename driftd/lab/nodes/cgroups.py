"""The cgroups of a lab's pods: a subtree a lab, in it one a node. Run as a script, it removes such a subtree.

Cgroups are the one thing of a node that the kernel keeps when all its processes are dead: network devices, mounts and
routes go with the namespaces that held them. As a script (`python -I cgroups.py NAME [CLAIM]`) it needs the
standard library alone, so that a process with no other purpose can run it when the lab's owner is gone. With CLAIM, it
first takes that name in the kernel's abstract socket namespace, and leaves everything alone if it cannot: another lab
has begun to use NAME, or another process is clearing it away.

Two kubelets in one subtree take each other's pods for orphans and kill them: hence one a node.
"""

import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")
_NEEDED = ("cpu", "cpuset", "memory", "pids")
_END_SECONDS = 20.0
_LOOK_EVERY_SECONDS = 0.05


def hierarchies(mounts: str) -> tuple[tuple[Path, ...], Path | None]:
    """Where the version 1 controllers are mounted, and where the unified tree is, from the text of a mount table."""
    old: dict[str, Path] = {}
    unified = None
    for line in mounts.splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup":
            old.setdefault(options, Path(place))  # one hierarchy may be mounted at several places
        elif kind == "cgroup2" and unified is None:
            unified = Path(place)
    return tuple(old.values()), unified


def make(name: str) -> None:
    """Make the cgroup `name` (a path below the root) with the controllers a kubelet accounts by, in every hierarchy.

    Version 1 gives a new cpuset no processors and no memory: a process put there cannot start. Version 2 hands down
    only the controllers that each level enables for its children.
    """
    old, unified = hierarchies(MOUNTS.read_text())
    for root in old:
        for level in _levels(root, name):
            level.mkdir(exist_ok=True)
            for file in ("cpuset.cpus", "cpuset.mems"):
                if (level / file).exists():
                    (level / file).write_text((level.parent / file).read_text())
    if unified is not None and not old:
        for level in _levels(unified, name):
            offered = (level.parent / "cgroup.controllers").read_text().split()
            wanted = " ".join(f"+{controller}" for controller in _NEEDED if controller in offered)
            (level.parent / "cgroup.subtree_control").write_text(wanted)
            level.mkdir(exist_ok=True)


def remove(name: str) -> None:
    """Kill what still runs in the cgroup `name`, and remove it with all below it, in every hierarchy; none is fine.

    Raises `TimeoutError` when processes in it do not die, which only a kernel that hangs lets happen.
    """
    old, unified = hierarchies(MOUNTS.read_text())
    tops = [root / name for root in (*old, *((unified,) if unified else ()))]
    deadline = time.monotonic() + _END_SECONDS
    while True:
        left = [top for top in tops if not _removed(top)]
        if not left:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"cgroups that could not be removed: {', '.join(map(str, left))}")
        time.sleep(_LOOK_EVERY_SECONDS)


def _levels(root: Path, name: str) -> list[Path]:
    parts = Path(name).parts
    return [root.joinpath(*parts[: depth + 1]) for depth in range(len(parts))]


def _removed(top: Path) -> bool:
    """One attempt, deepest first. A cgroup is busy for a moment after its last process was killed."""
    for folder, _, _ in os.walk(top, topdown=False):
        with contextlib.suppress(OSError):
            for pid in (Path(folder) / "cgroup.procs").read_text().split():
                if int(pid):  # 0: a process outside of this process namespace, which is not ours to see or to kill
                    os.kill(int(pid), signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.rmdir(folder)  # noqa: PTH106  # os.walk hands out strings
    return not top.exists()


def _claimed(name: str) -> socket.socket | None:
    """The claim of `supervisor.Claims`, held until the socket is closed; None when somebody else has it."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0{name}")
    except OSError:
        claim.close()
        return None
    return claim


def main() -> None:
    """See the module's docstring."""
    name, claim = sys.argv[1], sys.argv[2:]
    if not claim:
        remove(name)
        return
    held = _claimed(claim[0])
    if held is not None:
        with held:
            remove(name)


if __name__ == "__main__":
    main()
