"""The archive that containerd imports, read back as the image specification says."""

import hashlib
import json
import tarfile
from pathlib import Path

from driftd.lab.nodes.image import Image, write_image


def image(folder: Path) -> Image:
    program = folder / "program"
    program.write_bytes(b"#!/bin/sh\n")
    return Image(
        "example.dev/one:lab", files={"bin/program": program}, command=("/bin/program",), links={"bin/sh": "program"}
    )


def test_the_configs_digest_is_that_of_the_layer_and_the_manifest_names_all(tmp_path: Path) -> None:
    archive = write_image(image(tmp_path), tmp_path / "one.tar")
    with tarfile.open(archive) as opened:
        files = {name: opened.extractfile(name) for name in ("manifest.json", "config.json", "layer.tar")}
        data = {name: file.read() for name, file in files.items() if file is not None}
    (manifest,) = json.loads(data["manifest.json"])
    config = json.loads(data[manifest["Config"]])
    assert manifest["RepoTags"] == ["example.dev/one:lab"]
    (layer,) = manifest["Layers"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(data[layer]).hexdigest()}"]
    assert config["config"]["Cmd"] == ["/bin/program"]


def test_files_may_be_run_by_anybody_and_links_lead_to_them(tmp_path: Path) -> None:
    archive = write_image(image(tmp_path), tmp_path / "one.tar")
    with tarfile.open(archive) as opened:
        inner = opened.extractfile("layer.tar")
        with tarfile.open(fileobj=inner) as layer:
            entries = {entry.name: entry for entry in layer.getmembers()}
    assert entries["bin/program"].mode == 0o755
    assert (entries["bin/program"].uid, entries["bin/program"].mtime) == (0, 0)
    assert entries["bin/sh"].linkname == "program"
    assert entries["bin"].isdir()
    assert entries["tmp"].mode == 0o1777


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    first = write_image(image(tmp_path), tmp_path / "one.tar").read_bytes()
    (tmp_path / "program").touch()
    assert write_image(image(tmp_path), tmp_path / "two.tar").read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.tar", "program", "two.tar"]
