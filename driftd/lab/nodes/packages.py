"""What a node needs of the machine: whose presence is looked for, and the Debian packages that bring it."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from driftd.lab.errors import NodesUnavailableError
from driftd.lab.nodes.programs import LLVM_FOLDER
from driftd.lab.toolchain import Say

CNI_FOLDER = Path("/usr/lib/cni")
_INSTALL_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Need:
    """A program, by its name on PATH or its full path, and the Debian package that has it."""

    program: str
    package: str

    def present(self, environ: Mapping[str, str]) -> bool:
        return shutil.which(self.program, path=environ.get("PATH", os.defpath)) is not None


NEEDS = (
    Need("containerd", "containerd"),
    Need("ctr", "containerd"),
    Need("runc", "runc"),
    Need(str(CNI_FOLDER / "loopback"), "containernetworking-plugins"),
    Need("busybox", "busybox-static"),
    Need(str(LLVM_FOLDER / "clang"), "clang-14"),
    Need(str(LLVM_FOLDER / "llc"), "llvm-14"),
    Need("bpftool", "bpftool"),
    Need("modprobe", "kmod"),
    Need("iptables", "iptables"),
    Need("nft", "nftables"),
    Need("ip", "iproute2"),
    Need("tc", "iproute2"),
    Need("nsenter", "util-linux"),
)


def missing_programs(environ: Mapping[str, str]) -> tuple[Need, ...]:
    """What is not there; nothing is touched."""
    return tuple(need for need in NEEDS if not need.present(environ))


def packages_of(needs: tuple[Need, ...]) -> tuple[str, ...]:
    """The packages, each once, in the order of the needs."""
    return tuple(dict.fromkeys(need.package for need in needs))


def install_packages(environ: Mapping[str, str], say: Say) -> tuple[str, ...]:
    """Install what is missing with apt, and answer the packages; with nothing missing, touch nothing.

    Raises `NodesUnavailableError` where there is no apt, or no right to use it.
    """
    packages = packages_of(missing_programs(environ))
    if not packages:
        return ()
    if os.geteuid() != 0 or shutil.which("apt-get", path=environ.get("PATH", os.defpath)) is None:
        raise NodesUnavailableError(
            f"Nodes need what these Debian packages hold: {' '.join(packages)}. Installing them takes root and "
            "apt-get. Elsewhere, install what your system calls them (of LLVM, version 14)."
        )
    say(f"installing {' '.join(packages)}")
    settings = {**environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-q"], ["install", "-q", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", *command],
            env=settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_INSTALL_SECONDS,
        )
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            raise NodesUnavailableError(f"`apt-get {' '.join(command)}` failed with {done.returncode}:\n{said}")
    return packages
