"""What this machine allows a lab to do, and what each lack costs."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from driftd.lab.build import MODULE, cache_folder
from driftd.lab.capabilities import NET_ADMIN, SYS_ADMIN, SYS_RESOURCE, has_capability
from driftd.lab.nodes import lacks, missing_programs, packages_of, ready_node_programs
from driftd.lab.programs import installed_programs, ready_programs
from driftd.lab.toolchain import find_go, required_go

_NAMESPACES = ("net", "mnt", "pid", "cgroup")


@dataclass(frozen=True, slots=True)
class Check:
    """One capability: whether it is there, what was seen, and what its lack costs and would cure."""

    capability: str
    present: bool
    seen: str
    costs: str
    """What cannot be done without it, and what to do about it; said only when it is absent."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine(environ: Mapping[str, str]) -> tuple[Check, ...]:
    """Look, touch nothing, start nothing but `go env` and `--version`. `control_plane` first, then what nodes need."""
    checks: tuple[Callable[[Mapping[str, str]], Check], ...] = (
        _control_plane,
        _go,
        _root,
        _namespaces,
        _cgroups,
        _bpffs,
        _containerd,
        _oom_scores,
        _node_packages,
        _node,
    )
    return tuple(check(environ) for check in checks)


def _control_plane(environ: Mapping[str, str]) -> Check:
    programs = ready_programs(environ)
    if programs is not None:
        return Check("control_plane", present=True, seen=f"{programs.version} from {programs.source}", costs="")
    _, refusals = installed_programs(environ)
    costs = "The first `driftd lab up` builds etcd and Kubernetes for some minutes and keeps them."
    return Check("control_plane", present=False, seen="; ".join(map(str, refusals)), costs=costs)


def _go(environ: Mapping[str, str]) -> Check:
    needed = required_go(MODULE / "go.mod")
    wanted = ".".join(map(str, needed))
    go = find_go(needed, cache_folder(environ), environ)
    costs = f"The first build downloads a Go {wanted} with pip, unless you install one before."
    return Check("go", go is not None, str(go) if go else f"no Go {wanted} or newer", costs)


def _root(_: Mapping[str, str]) -> Check:
    user = os.geteuid()
    return Check(
        "root", user == 0, f"user id {user}", "No nodes, no pods and no packets; the control plane runs without it."
    )


def _namespaces(_: Mapping[str, str]) -> Check:
    missing = [kind for kind in _NAMESPACES if not Path(f"/proc/self/ns/{kind}").exists()]
    allowed = has_capability(SYS_ADMIN) and has_capability(NET_ADMIN)
    seen = f"kernel lacks {', '.join(missing)}" if missing else "kernel has them"
    seen += ", allowed to make them" if allowed else ", not allowed to make them (CAP_SYS_ADMIN and CAP_NET_ADMIN)"
    return Check("namespaces", not missing and allowed, seen, "A node needs a network and a mount namespace: no nodes.")


def _cgroups(_: Mapping[str, str]) -> Check:
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    if unified.exists():
        root = unified.parent
        seen = f"v2 with {unified.read_text().strip() or 'no controllers'}"
        missing = [name for name in ("cpu", "memory", "pids") if name not in unified.read_text().split()]
    else:
        root = Path("/sys/fs/cgroup")
        missing = [name for name in ("cpu", "memory", "pids") if not (root / name).is_dir()]
        seen = "v1" if not missing else "no cgroup controllers mounted"
    writable = os.access(root, os.W_OK)
    seen += "" if writable else ", read-only"
    return Check("cgroups", not missing and writable, seen, "A kubelet cannot account for pods: no nodes.")


def _bpffs(_: Mapping[str, str]) -> Check:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2:3] == ["bpf"]]
    known = "bpf" in Path("/proc/filesystems").read_text().split()
    seen = (
        f"mounted at {mounts[0]}"
        if mounts
        else ("not mounted, the kernel knows it" if known else "unknown to the kernel")
    )
    return Check(
        "bpffs", bool(mounts) or known, seen, "No eBPF datapath: policies are stored but no packet is judged by them."
    )


def _containerd(environ: Mapping[str, str]) -> Check:
    missing = [name for name in ("containerd", "runc") if shutil.which(name, path=environ.get("PATH")) is None]
    seen = f"not on PATH: {', '.join(missing)}" if missing else "containerd and runc on PATH"
    return Check("containerd", not missing, seen, "No pods can run. On Debian: apt install containerd runc.")


def _oom_scores(_: Mapping[str, str]) -> Check:
    present = has_capability(SYS_RESOURCE)
    seen = "CAP_SYS_RESOURCE is there" if present else "CAP_SYS_RESOURCE is missing"
    costs = "Containers may not get negative OOM scores: nodes then run containerd with restrict_oom_score_adj."
    return Check("oom_scores", present, seen, costs)


def _node_packages(environ: Mapping[str, str]) -> Check:
    missing = missing_programs(environ)
    seen = f"not found: {', '.join(need.program for need in missing)}" if missing else "all of a node's are there"
    costs = f"No nodes. `driftd lab packages` installs on Debian: {' '.join(packages_of(missing))}."
    return Check("node_packages", not missing, seen, costs)


def _node(environ: Mapping[str, str]) -> Check:
    found = lacks(environ)
    if found:
        return Check("node", present=False, seen=found[0], costs="`driftd lab up --nodes` ends with exit code 3.")
    built = ready_node_programs(environ) is not None
    seen = "can run pods" if built else "can run pods; the first `driftd lab up --nodes` builds for minutes"
    return Check("node", present=True, seen=seen, costs="")
