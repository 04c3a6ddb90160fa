"""Writes a container image from files with the standard library alone: a docker-archive tar, as containerd imports it.

One layer, fixed times and owners: the same files give the same bytes. Field names are those of the OCI image
specification's config and of `docker save`'s manifest.json.
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Image:
    """What is in it: files by their path inside, links by theirs, and how it starts."""

    name: str
    files: Mapping[str, Path]
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)


def write_image(image: Image, target: Path) -> Path:
    """Write the archive, and answer where it is."""
    layer = target.with_suffix(".layer")
    try:
        digest = _write_layer(image, layer)
        config = json.dumps(_config(image, digest)).encode()
        manifest = [{"Config": "config.json", "RepoTags": [image.name], "Layers": ["layer.tar"]}]
        with tarfile.open(target, "w") as archive:
            _add(archive, "config.json", config)
            archive.add(layer, "layer.tar", filter=_plain)
            _add(archive, "manifest.json", json.dumps(manifest).encode())
    finally:
        layer.unlink(missing_ok=True)
    return target


def _write_layer(image: Image, target: Path) -> str:
    with tarfile.open(target, "w") as layer:
        for folder in sorted(_folders((*image.files, *image.links, "tmp/x"))):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            layer.addfile(entry)
        for path, source in sorted(image.files.items()):
            layer.add(source, path, filter=_plain)
        for path, target_path in sorted(image.links.items()):
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target_path
            layer.addfile(entry)
    with target.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _folders(paths: Iterable[str]) -> set[str]:
    return {str(parent) for path in paths for parent in Path(path).parents if str(parent) != "."}


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    entry.mode = 0o755
    return entry


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def _config(image: Image, digest: str) -> dict[str, object]:
    machine = platform.machine()
    return {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {
            "Entrypoint": list(image.entrypoint),
            "Cmd": list(image.command),
            "Env": ["PATH=/bin"],
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
