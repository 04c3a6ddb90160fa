"""Whether this machine can have nodes: each lack in words, before anything is built or started."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from driftd.lab.capabilities import NET_ADMIN, SYS_ADMIN, has_capability
from driftd.lab.errors import NodesUnavailableError
from driftd.lab.nodes.cgroups import MOUNTS, hierarchies
from driftd.lab.nodes.packages import missing_programs, packages_of
from driftd.lab.nodes.programs import KUBERNETES
from driftd.lab.toolchain import version_tuple

_NAMESPACES = ("net", "mnt", "pid", "uts", "ipc")


def lacks(environ: Mapping[str, str]) -> tuple[str, ...]:
    """What keeps this machine from having nodes, a sentence each, the gravest first; nothing is touched."""
    found = machine_lacks()
    needs = missing_programs(environ)
    if not needs or sys.platform != "linux":
        return found
    programs, packages = ", ".join(need.program for need in needs), " ".join(packages_of(needs))
    return (*found, f"not found: {programs}; `driftd lab packages` installs {packages} on Debian")


def machine_lacks() -> tuple[str, ...]:
    """Of that, what no package cures."""
    if sys.platform != "linux":
        return (f"nodes need Linux, this is {sys.platform}",)
    found = []
    if os.geteuid() != 0:
        found.append(f"nodes need root, this is user id {os.geteuid()}")
    elif not (has_capability(SYS_ADMIN) and has_capability(NET_ADMIN)):
        found.append(
            "nodes need CAP_SYS_ADMIN and CAP_NET_ADMIN to make namespaces; run outside of an unprivileged container"
        )
    absent = [kind for kind in _NAMESPACES if not Path(f"/proc/self/ns/{kind}").exists()]
    if absent:
        found.append(f"the kernel lacks namespaces of the kinds {', '.join(absent)}")
    if "\tbpf\n" not in Path("/proc/filesystems").read_text():
        found.append("the kernel lacks bpffs (CONFIG_BPF_SYSCALL): no datapath can be loaded")
    old, unified = hierarchies(MOUNTS.read_text())
    if not old and unified is None:
        found.append("no cgroups are mounted: a kubelet cannot account for pods")
    elif not all(os.access(root, os.W_OK) for root in old or (unified,) if root is not None):
        found.append("cgroups are mounted read-only: a kubelet cannot account for pods")
    return tuple(found)


def refuse_older(control_plane: str) -> None:
    """Raises `NodesUnavailableError` for an API server older than the kubelet: Kubernetes' version skew policy."""
    if version_tuple(control_plane)[:2] < version_tuple(KUBERNETES.version)[:2]:
        raise NodesUnavailableError(
            f"The control plane's programs are {control_plane}, the kubelet is {KUBERNETES.version}, and a kubelet may "
            "not be newer than its API server: unset KUBEBUILDER_ASSETS, or point it at newer programs."
        )


def refuse_without(environ: Mapping[str, str]) -> None:
    """Raises `NodesUnavailableError` that names everything lacking."""
    found = lacks(environ)
    if found:
        raise NodesUnavailableError(
            f"This machine cannot have nodes: {'; '.join(found)}. `driftd lab doctor` says more."
        )
