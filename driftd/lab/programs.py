"""Where the lab's programs come from: KUBEBUILDER_ASSETS, PATH, the per-user cache, or a build."""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from driftd.lab.build import cache_folder, cached_program, ensure_program, kubernetes_version
from driftd.lab.toolchain import Say, version_tuple

ETCD = "etcd"
APISERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
NAMES = (ETCD, APISERVER, CONTROLLER_MANAGER)

# ValidatingAdmissionPolicy, which fences an old leader, is served as v1 from 1.30 on; 3.5 is the oldest etcd that
# 1.30 supports.
OLDEST: Mapping[str, tuple[int, int]] = {ETCD: (3, 5), APISERVER: (1, 30), CONTROLLER_MANAGER: (1, 30)}
_QUESTION_SECONDS = 30

AskVersion = Callable[[Path], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Programs:
    """How to run each part: the start of a command line, to which the part's flags are added."""

    etcd: tuple[str, ...]
    apiserver: tuple[str, ...]
    controller_manager: tuple[str, ...]
    version: str
    source: str
    """Where they were found, in words."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a place where programs might have been is of no use."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


def ask_version(program: Path) -> tuple[int, ...]:
    """What `--version` says, as numbers; empty when the program does not run."""
    try:
        said = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=True, timeout=_QUESTION_SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return version_tuple(said)


def in_folders(place: str, folders: list[Path], ask: AskVersion = ask_version) -> Programs | Refusal:
    """The three programs of one place, all there, new enough, and of one Kubernetes release."""
    found: dict[str, Path] = {}
    for name in NAMES:
        candidates = [folder / name for folder in folders if os.access(folder / name, os.X_OK)]
        if not candidates:
            return Refusal(place, f"has no {name}")
        found[name] = candidates[0]
    versions = {name: ask(path) for name, path in found.items()}
    for name, version in versions.items():
        if version < OLDEST[name]:
            said = ".".join(map(str, version)) or "a program that does not run"
            return Refusal(place, f"{name} is {said}, needed is {'.'.join(map(str, OLDEST[name]))} or newer")
    if versions[APISERVER][:2] != versions[CONTROLLER_MANAGER][:2]:
        return Refusal(place, f"{APISERVER} and {CONTROLLER_MANAGER} are of different releases")
    return Programs(
        etcd=(str(found[ETCD]),),
        apiserver=(str(found[APISERVER]),),
        controller_manager=(str(found[CONTROLLER_MANAGER]),),
        version="v" + ".".join(map(str, versions[APISERVER])),
        source=place,
    )


def installed_programs(
    environ: Mapping[str, str], ask: AskVersion = ask_version
) -> tuple[Programs | None, list[Refusal]]:
    """Programs somebody installed, and why the places before them were passed over."""
    refusals: list[Refusal] = []
    assets = environ.get("KUBEBUILDER_ASSETS", "")
    places = [("KUBEBUILDER_ASSETS", [Path(assets)])] if assets else []
    places.append(("PATH", [Path(folder) for folder in environ.get("PATH", os.defpath).split(os.pathsep) if folder]))
    for place, folders in places:
        found = in_folders(place, folders, ask)
        if isinstance(found, Programs):
            return found, refusals
        refusals.append(found)
    return None, refusals


def ready_programs(environ: Mapping[str, str]) -> Programs | None:
    """The programs if they can be had at once, without a build."""
    installed, _ = installed_programs(environ)
    if installed is not None:
        return installed
    program = cached_program(cache_folder(environ))
    return _all_in_one(program) if program is not None else None


def ensure_programs(environ: Mapping[str, str], say: Say) -> Programs:
    """The programs, built if need be. Blocks, for minutes the first time. Raises `ProgramsUnavailableError`."""
    installed, refusals = installed_programs(environ)
    if installed is not None:
        return installed
    if environ.get("KUBEBUILDER_ASSETS"):
        say(f"not used: {refusals[0]}")
    return _all_in_one(ensure_program(cache_folder(environ), environ, say))


def _all_in_one(program: Path) -> Programs:
    path = str(program)
    return Programs(
        etcd=(path, ETCD),
        apiserver=(path, APISERVER),
        controller_manager=(path, CONTROLLER_MANAGER),
        version=kubernetes_version(),
        source=path,
    )
