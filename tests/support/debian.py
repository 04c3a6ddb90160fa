"""Programs of Debian packages for tests, unpacked into the per-user cache: nothing is installed, no root is needed.

A test that needs one skips where it cannot be had, and says why; `DRIFTD_REQUIRE` (a comma-separated list of package
names, beside `control_plane`) turns that skip into a failure.
"""

import fcntl
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from driftd.lab.build import cache_folder
from tests.support.control_plane import lacking

_FETCH_SECONDS = 180


def program(package: str, name: str) -> Path:
    """The path of a program of `package`: from PATH, else unpacked from the package. Skips where it is absent."""
    found = shutil.which(name)
    if found:
        return Path(found)
    return _from_package(package, f"**/*bin/{name}")


def library(package: str, name: str) -> Path:
    """The path of a shared library that a program of another package needs. Skips where it is absent."""
    return _from_package(package, f"**/{name}*")


def _from_package(package: str, pattern: str) -> Path:
    try:
        return _unpacked(package, pattern)
    except LookupError as error:
        lacking(package, str(error))


@cache
def _unpacked(package: str, pattern: str) -> Path:
    home = cache_folder(os.environ).parent / "debian" / package
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / f"{package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test processes must not unpack side by side
        if not home.exists():
            _fetch(package, home)
    for found in home.glob(pattern):
        if found.is_file() and ("bin" not in pattern or os.access(found, os.X_OK)):
            return found
    raise LookupError(f"the package holds nothing like {pattern}")


def _fetch(package: str, home: Path) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise LookupError(f"{tool} is not on this machine; install {package} and put it on PATH")
    half = home.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    try:
        subprocess.run(
            ["apt-get", "download", package], cwd=half, check=True, capture_output=True, timeout=_FETCH_SECONDS
        )
        archive = next(half.glob("*.deb"))
        subprocess.run(["dpkg-deb", "-x", archive.name, "."], cwd=half, check=True, capture_output=True)
        archive.unlink()
    except (subprocess.SubprocessError, StopIteration) as error:
        shutil.rmtree(half, ignore_errors=True)
        told = (getattr(error, "stderr", b"") or b"").decode(errors="replace").strip()[:300]
        raise LookupError(f"it could not be downloaded ({told or error})") from error
    half.rename(home)
