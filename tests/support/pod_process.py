"""driftd's process in a pod as this machine sees it: found by its pod's cgroup, killed, stopped, weighed."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.kube import Body

_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a pod's container takes at one moment, and how often the kernel has killed in it for want of them.

    `resident` is the process's VmRSS, with the files that it maps. `held` is what its cgroup cannot give back: all but
    file cache, also that of other processes in it.
    """

    resident: int
    held: int
    kills: int


def process_of(pod: Body) -> int:
    """driftd's process as this machine numbers it, by the cgroup of its pod; raises ProcessLookupError without one."""
    uid = pod["metadata"]["uid"]
    for folder in Path("/proc").iterdir():
        try:
            mine = folder.name.isdigit() and f"pod{uid}/" in (folder / "cgroup").read_text()
            if mine and b"driftd\0run" in (folder / "cmdline").read_bytes():
                return int(folder.name)
        except OSError:
            continue  # it ended meanwhile
    raise ProcessLookupError(f"no process of pod {pod['metadata']['name']}")


def kill_process(pod: Body) -> None:
    """SIGKILL, from outside of the pod."""
    os.kill(process_of(pod), signal.SIGKILL)


@contextmanager
def stopped(pod: Body) -> Iterator[None]:
    """Its process stands still until the block ends; within the minute before the kubelet ends it."""
    process = process_of(pod)
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


def memory_of(pod: Body) -> Memory:
    """What driftd's process, and its container with all that runs in it, hold now."""
    process = process_of(pod)
    status = _numbers(Path(f"/proc/{process}/status").read_text())
    places = dict(line.split(":", 2)[1:] for line in Path(f"/proc/{process}/cgroup").read_text().splitlines())
    if "memory" in places:  # version 1
        home = _CGROUPS / "memory" / places["memory"].lstrip("/")
        used, kills = "memory.usage_in_bytes", "memory.oom_control"
        cache = "total_cache"
    else:
        home = _CGROUPS / places[""].lstrip("/")
        used, kills = "memory.current", "memory.events"
        cache = "file"
    stat, total = _numbers((home / "memory.stat").read_text()), int((home / used).read_text())
    return Memory(
        resident=status["VmRSS:"] * 1024,
        held=total - stat[cache],
        kills=_numbers((home / kills).read_text())["oom_kill"],
    )


def _numbers(text: str) -> dict[str, int]:
    """Lines of a word and a number."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) > 1 and pair[1].isdigit()}
