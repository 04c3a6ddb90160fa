"""The image: what its Dockerfile promises, and, where it can be built, what is really in it."""

import importlib.util
import json
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

import driftd
from tests.support.image import ROOT, configuration, image_archive, inside, over_base, revision

DOCKERFILE = (ROOT / "Dockerfile").read_text()
LIMIT = 120_000_000


def instructions(name: str) -> list[str]:
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.removeprefix(name).strip() for line in joined.splitlines() if line.startswith(f"{name} ")]


def test_the_bases_are_arguments() -> None:
    assert instructions("FROM") == ["${BUILD_BASE} AS build", "${BASE}"]


def test_one_version_stands_everywhere_and_on_the_image_with_the_revision() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((ROOT / "deploy" / "chart" / "Chart.yaml").read_text())
    arguments = dict(text.split("=", 1) for text in instructions("ARG"))
    assert {driftd.__version__, chart["version"], chart["appVersion"], arguments["VERSION"]} == {project["version"]}
    assert f"-t driftd:{project['version']} " in (ROOT / "README.md").read_text()
    (labels,) = instructions("LABEL")
    for name in ("version", "revision"):
        assert f'org.opencontainers.image.{name}="${{{name.upper()}}}"' in labels


def test_nothing_needs_a_shell() -> None:
    for name in ("RUN", "ENTRYPOINT", "CMD"):
        for text in instructions(name):
            assert isinstance(json.loads(text), list), text
    assert not re.search(r"^RUN ", DOCKERFILE.split("FROM ${BASE}")[1], re.MULTILINE), "the last stage runs nothing"


def test_packages_are_installed_by_hash_only() -> None:
    for text in instructions("RUN"):
        command = json.loads(text)
        if "install" in command:
            assert "--require-hashes" in command or "--no-index" in command, text
    for name in ("requirements.txt", "requirements-build.txt"):
        text = (ROOT / name).read_text()
        for entry in re.split(r"\n(?=\S)", text):
            assert entry.startswith("#") or "--hash=sha256:" in entry, entry


def test_the_bill_of_materials_names_each_package_with_its_version() -> None:
    spec = importlib.util.spec_from_file_location("finish", ROOT / "deploy" / "image" / "finish.py")
    assert spec is not None
    assert spec.loader is not None
    finish = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(finish)
    site = Path(pytest.__file__).parents[1]
    found = finish.bill_of_materials(site, [{"name": "openssh-client", "version": "1:9.2p1-2"}])
    assert found["bomFormat"] == "CycloneDX"
    assert found["metadata"]["component"]["name"] == "driftd"
    purls = [entry["purl"] for entry in found["components"]]
    assert f"pkg:pypi/aiohttp@{version('aiohttp')}" in purls
    assert "pkg:deb/debian/openssh-client@1%3A9.2p1-2" in purls
    assert len(set(purls)) == len(purls)


@pytest.mark.timeout(1200)
def test_the_built_image_runs_as_nobody_and_holds_what_it_says() -> None:
    archive = image_archive()
    config = configuration()
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/opt/driftd/bin/python", "-m", "driftd"]
    assert config["Labels"]["org.opencontainers.image.title"] == "driftd"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert config["Labels"]["org.opencontainers.image.version"] == driftd.__version__
    assert config["Labels"]["org.opencontainers.image.revision"] == revision()
    size = over_base(archive)
    print(f"\n{size / 1e6:.1f} MB over its base, compressed")
    assert size <= LIMIT
    said = inside("/opt/driftd/bin/python", "-m", "driftd", "--version")
    assert said.stdout.startswith("driftd "), said.stderr
    ssh = inside("ssh", "-G", "git.example")
    assert "user driftd" in ssh.stdout, ssh.stderr
    looked = inside(
        "/opt/driftd/bin/python",
        "-c",
        "import os, json, driftd.app; print(os.getuid(), json.load(open('/opt/driftd/sbom.cdx.json'))['specVersion'],"
        " os.access('/opt/driftd', os.W_OK), os.path.exists('/opt/driftd/bin/pip'))",
    )
    assert looked.stdout.split() == ["65532", "1.5", "False", "False"], looked.stderr
