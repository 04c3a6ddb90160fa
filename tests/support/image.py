"""The image, built from the Dockerfile as users build it; its base is a Debian tree made here: no registry is asked.

Needs root, Linux and Debian's `buildah` and `debootstrap`. Because a build takes minutes, a test builds only where
`DRIFTD_REQUIRE` names `image`; otherwise it takes what is kept of the same sources in the per-user cache, or skips.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Any

from driftd.lab.build import cache_folder
from tests.support.control_plane import lacking, required

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "localhost/driftd:test"
_BASE = "localhost/driftd-base:bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"
_CERTIFICATES = "/etc/ssl/certs"
_INPUTS = ("Dockerfile", ".dockerignore", "requirements.txt", "requirements-build.txt", "pyproject.toml", "README.md")
_FOLDERS = ("driftd", "models", "deploy/manifests", "deploy/image")


def image_archive() -> Path:
    """The image as a docker-archive file, for `ctr images import`; skips where it cannot be built."""
    if sys.platform != "linux" or os.geteuid() != 0:
        lacking("image", "an image is built as root on Linux")
    for tool in ("buildah", "debootstrap"):
        if shutil.which(tool) is None:
            lacking("image", f"{tool} is not installed (Debian package {tool})")
    home = cache_folder(os.environ).parent / "image"
    home.mkdir(parents=True, exist_ok=True)
    archive = home / f"driftd-{_digest()}.tar"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            if "image" not in required():
                lacking("image", "it is not built yet, and a build takes minutes; DRIFTD_REQUIRE=image builds it")
            _build(home, archive)
    return archive


def over_base(archive: Path) -> int:
    """Bytes of what the image adds to its base, gzip-compressed as a registry would hold it."""
    with tarfile.open(archive) as outer:
        manifest = outer.extractfile("manifest.json")
        assert manifest is not None
        (_base, *added) = json.load(manifest)[0]["Layers"]
        total = 0
        for name in added:
            layer = outer.extractfile(name)
            assert layer is not None
            while part := layer.read(1 << 24):
                total += len(zlib.compress(part, 6))
        return total


def inside(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the image as the image's own user."""
    container = _run(["buildah", "from", "--pull-never", IMAGE], 60).strip()
    try:
        given = ["buildah", "run", "--isolation", "oci", container, "--", *command]
        return subprocess.run(given, capture_output=True, text=True, timeout=120, check=False)
    finally:
        _run(["buildah", "rm", container], 60)


def configuration() -> dict[str, Any]:
    """The image's configuration as OCI has it."""
    found: dict[str, Any] = json.loads(_run(["buildah", "inspect", "--type", "image", IMAGE], 60))["OCIv1"]["config"]
    return found


def _digest() -> str:
    total = sha256()
    for name in (*_INPUTS, *_FOLDERS):
        where = ROOT / name
        files = [where] if where.is_file() else sorted(path for path in where.rglob("*") if path.is_file())
        for file in files:
            if "__pycache__" not in file.parts:
                total.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return total.hexdigest()[:16]


def _build(home: Path, archive: Path) -> None:
    _base(home)
    command = [
        "buildah", "build", "--isolation", "oci", "--network", "host", "--pull-never", "--layers",
        "--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro", "--build-arg", f"BUILD_BASE={_BASE}",
        "--build-arg", f"PIP_CERT={_CERTIFICATES}/ca-certificates.crt", "--tag", IMAGE, str(ROOT),
    ]  # fmt: skip
    _run(command, 900)
    half = archive.with_suffix(".half")
    half.unlink(missing_ok=True)
    _run(["buildah", "push", IMAGE, f"docker-archive:{half}:{IMAGE}"], 300)
    for old in home.glob("driftd-*.tar"):
        old.unlink()
    half.rename(archive)


def _base(home: Path) -> None:
    """A small Debian with Python, once."""
    if subprocess.run(["buildah", "images", "-q", _BASE], capture_output=True, check=False).returncode == 0:
        return
    tree = home / "base"
    shutil.rmtree(tree, ignore_errors=True)
    _run(["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(tree)], 600)
    for folder in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(tree / folder, ignore_errors=True)
    container = _run(["buildah", "from", "--name", "driftd-base", "scratch"], 60).strip()
    try:
        _run(["buildah", "copy", container, str(tree), "/"], 300)
        _run(["buildah", "commit", container, _BASE], 300)
    finally:
        _run(["buildah", "rm", container], 60)
        shutil.rmtree(tree, ignore_errors=True)


def _run(command: list[str], seconds: int) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{' '.join(command[:3])}: {done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout
