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
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from driftd.lab.build import cache_folder
from tests.support.control_plane import lacking, required

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "localhost/driftd:test"
_BASE = "localhost/driftd-base:bookworm"
_BUILD_BASE = "localhost/driftd-build-base:bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"
_CERTIFICATES = "/etc/ssl/certs"
_INPUTS = ("Dockerfile", ".dockerignore", "requirements.txt", "requirements-build.txt", "pyproject.toml", "README.md")
_FOLDERS = ("driftd", "models", "deploy/manifests", "deploy/image")


def image_archive() -> Path:
    """The image as a docker-archive file, for `ctr images import`; skips where there is none and none is required."""
    if sys.platform != "linux" or os.geteuid() != 0:
        lacking("image", "an image is built as root on Linux")
    for tool in ("buildah", "debootstrap"):
        if shutil.which(tool) is None:
            lacking("image", f"{tool} is not installed (Debian package {tool})")
    home = cache_folder(os.environ).parent / "image"
    home.mkdir(parents=True, exist_ok=True)
    archive = home / f"driftd-{revision()}.tar"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            if "image" not in required():
                lacking("image", "the image is not built yet, which takes minutes; DRIFTD_REQUIRE=image builds it")
            _build(home, archive)
    return archive


def kept_archive() -> tuple[Path, bool]:
    """The image that was built last, and whether of these very sources; skips where none is kept."""
    kept = sorted((cache_folder(os.environ).parent / "image").glob("driftd-*.tar"), key=lambda one: one.stat().st_mtime)
    if not kept:
        lacking("image", "none is kept; `DRIFTD_REQUIRE=image pytest tests/deploy/test_image.py` builds one")
    return kept[-1], kept[-1].stem == f"driftd-{revision()}"


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
    with _container(IMAGE) as container:
        given = ["buildah", "run", "--isolation", "oci", container, "--", *command]
        return subprocess.run(given, capture_output=True, text=True, timeout=120, check=False)


def configuration() -> dict[str, Any]:
    """The image's configuration as OCI has it."""
    found: dict[str, Any] = json.loads(_run(["buildah", "inspect", "--type", "image", IMAGE], 60))["OCIv1"]["config"]
    return found


def revision() -> str:
    """What is built here, by its sources: there need be no commit of them."""
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
    _build_base()
    command = [
        "buildah", "build", "--isolation", "oci", "--network", "host", "--pull-never", "--layers",
        "--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro", "--build-arg", f"BUILD_BASE={_BUILD_BASE}",
        "--build-arg", f"BASE={_BASE}", "--build-arg", f"PIP_CERT={_CERTIFICATES}/ca-certificates.crt",
        "--build-arg", f"REVISION={revision()}", "--tag", IMAGE, str(ROOT),
    ]  # fmt: skip
    _run(command, 1800)
    half = archive.with_suffix(".half")
    half.unlink(missing_ok=True)
    _run(["buildah", "push", IMAGE, f"docker-archive:{half}:{IMAGE}"], 300)
    for old in home.glob("driftd-*.tar"):
        old.unlink()
    half.rename(archive)


def _base(home: Path) -> None:
    """A small Debian with Python, once."""
    if _is_there(_BASE):
        return
    tree = home / "base"
    shutil.rmtree(tree, ignore_errors=True)
    # What it mounts below the tree goes with its own mount namespace, however it ends: the tree is removed afterwards.
    apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    made = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(tree)]
    _run([*apart, *made], 1200)
    for folder in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(tree / folder, ignore_errors=True)
    try:
        with _container("scratch") as container:
            _run(["buildah", "copy", container, str(tree), "/"], 300)
            _run(["buildah", "commit", container, _BASE], 300)
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _build_base() -> None:
    """The same with an ssh, once."""
    if _is_there(_BUILD_BASE):
        return
    with _container(_BASE) as container:
        for command in (("update", "-q"), ("install", "-q", "-y", "--no-install-recommends", "openssh-client")):
            _run(
                ["buildah", "run", "--isolation", "oci", "--network", "host", container, "--", "apt-get", *command], 600
            )
        _run(["buildah", "commit", container, _BUILD_BASE], 300)


def _is_there(image: str) -> bool:
    return subprocess.run(["buildah", "images", "-q", image], capture_output=True, check=False).returncode == 0


@contextmanager
def _container(image: str) -> Iterator[str]:
    container = _run(["buildah", "from", "--pull-never", image], 60).strip()
    try:
        yield container
    finally:
        _run(["buildah", "rm", container], 60)


def _run(command: list[str], seconds: int) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{' '.join(command[:3])}: {done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout
