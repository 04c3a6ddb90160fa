"""The first process of a node: it makes the node's namespaces and holds them; when it ends, all of the node is gone.

Run as a plain script (`python -I init.py FOLDER HOSTNAME KEPT [COMMAND...]`) by the lab's supervisor, with the standard
library alone. The process that was started stays outside and watches; its child is process 1 of the new namespaces,
starts nothing and collects the dead. Its number, as seen from outside, is in `FOLDER/init.pid` as soon as the node can
be entered. KEPT are folders that the node sees where everybody does, separated by colons.

The kernel kills every process of a process namespace with its first one, and takes network devices, mounts and routes
away with the namespaces that held them. So whatever ends first, nothing of the node is left: told to end, this process
kills its child; killed itself, its child dies with it (PR_SET_PDEATHSIG); and when the supervisor dies, it ends the
node and runs COMMAND, which clears away what the kernel keeps.
"""

import ctypes
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

PID_FILE = "init.pid"
# Folders where programs of a node leave things under fixed names: each node sees an empty one of its own.
COVERED = ("/run", "/var/lib", "/var/log")
KUBELET_FOLDER = "/var/lib/kubelet"
# What a kubelet and a Cilium agent set for the whole machine. A node shows them the value they want in a plain file, so
# that they leave the machine's own as it is.
MACHINE_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
    "kernel/unprivileged_bpf_disabled": "1",
    "kernel/timer_migration": "0",
}
_PR_SET_PDEATHSIG = 1
_CLONE_NEWPID = 0x2000_0000
_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC, _CLONE_NEWNET = 0x0002_0000, 0x0400_0000, 0x0800_0000, 0x4000_0000
_MS_BIND, _MS_REC, _MS_PRIVATE, _MS_SHARED = 0x1000, 0x4000, 0x4_0000, 0x10_0000
_LIBC = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """`mount(2)`."""
    done = _LIBC.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(done, f"mount {kind or source} at {target}")


def _furnish(folder: Path, kept: list[Path]) -> None:
    """The node's own view of the file system. Runs as process 1."""
    mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    opened = [(each, os.open(each, os.O_PATH)) for each in kept]
    for place in COVERED:
        mount("tmpfs", place, "tmpfs", 0, "mode=755")
    for each, descriptor in opened:
        each.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{descriptor}", str(each), "", _MS_BIND)
        os.close(descriptor)
    # On disk, but under a short name: the path of a Unix socket is limited to about 100 bytes.
    own = folder / "kubelet"
    if own.is_dir():
        Path(KUBELET_FOLDER).mkdir()
        mount(str(own), KUBELET_FOLDER, "", _MS_BIND)
    # A pod's volumes and network namespaces are mounted by one program and seen by another.
    for place in ("/run", *map(str, kept), *([KUBELET_FOLDER] if own.is_dir() else [])):
        mount("none", place, "", _MS_SHARED)
    mount("proc", "/proc", "proc")
    for name, value in MACHINE_SETTINGS.items():
        setting = Path("/proc/sys") / name
        if setting.exists():
            shown = Path("/run/machine") / name
            shown.parent.mkdir(parents=True, exist_ok=True)
            shown.write_text(f"{value}\n")
            mount(str(shown), str(setting), "", _MS_BIND)
    if "\tbpf\n" in Path("/proc/filesystems").read_text():
        mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=700")


def _hold(folder: Path, hostname: str, kept: list[Path], go: int, ready: int) -> NoReturn:
    """Process 1 of the node."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if not os.read(go, 1):
        os._exit(1)  # the one outside died before the line above
    # Blocked rather than ignored: what ends while we are busy is still reported.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    _check(
        _LIBC.unshare(_CLONE_NEWNS | _CLONE_NEWUTS | _CLONE_NEWIPC | _CLONE_NEWNET), "cannot make a node's namespaces"
    )
    socket.sethostname(hostname)
    _furnish(folder, kept)
    os.write(ready, b".")
    os.close(ready)
    while True:
        signal.sigwait({signal.SIGCHLD})
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            continue


def main() -> None:
    """Make the namespaces, wait for the end of the node, of the supervisor, or for SIGTERM."""
    folder, hostname, command = Path(sys.argv[1]), sys.argv[2], sys.argv[4:]
    kept = [Path(name) for name in sys.argv[3].split(os.pathsep)]
    supervisor = os.getppid()
    supervisor_ended = os.pidfd_open(supervisor)
    _LIBC.prctl(_PR_SET_PDEATHSIG, 0)  # outlives the supervisor for as long as COMMAND takes
    if os.getppid() != supervisor:
        sys.exit("the supervisor ended")
    _check(_LIBC.unshare(_CLONE_NEWPID), "cannot make a node's process namespace")
    told, tell = os.pipe()
    heard, hear = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(tell)
        os.close(heard)
        _hold(folder, hostname, kept, told, hear)
    os.close(told)
    os.close(hear)

    def end(*_: object) -> NoReturn:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    os.write(tell, b".")
    if not os.read(heard, 1):
        sys.exit("the node's first process failed; see above")
    scratch = folder / f".{PID_FILE}"
    scratch.write_text(str(child))
    scratch.rename(folder / PID_FILE)
    node_ended = os.pidfd_open(child)
    ended, _, _ = select.select([node_ended, supervisor_ended], [], [])
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if supervisor_ended in ended and command:
        # Not as a child: children of this process would be born into the namespace that has just died.
        os.execv(command[0], command)  # noqa: S606
    sys.exit("the node's first process ended" if node_ended in ended else "the supervisor ended")


if __name__ == "__main__":
    main()
