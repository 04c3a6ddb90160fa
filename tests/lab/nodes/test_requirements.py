"""A machine that cannot have nodes says so in words, before anything is built, and with exit code 3."""

import json
import re
from pathlib import Path

import pytest

from driftd.lab import Lab, LabOptions, NodesUnavailableError, install_packages, lacks
from driftd.lab.nodes.packages import NEEDS, missing_programs, packages_of
from driftd.lab.nodes.programs import KUBERNETES
from driftd.lab.nodes.requirements import refuse_older
from driftd.lab.toolchain import version_tuple
from tests.support.cli import driftd


def test_a_machine_without_the_programs_is_told_which_packages_bring_them(tmp_path: Path) -> None:
    bare = {"PATH": str(tmp_path)}
    missing = missing_programs(bare)
    assert {"containerd", "runc", "busybox-static", "nftables"} <= set(packages_of(missing))
    assert any("driftd lab packages" in lack for lack in lacks(bare))


def test_packages_are_named_once_and_in_order() -> None:
    packages = packages_of(NEEDS)
    assert len(set(packages)) == len(packages)
    assert packages[0] == "containerd"


@pytest.mark.parametrize("page", ["README.md", "docs/lab.md"])
def test_a_page_that_lists_the_packages_names_each(page: str) -> None:
    words = set(re.findall(r"[a-z0-9-]+", (Path(__file__).parents[3] / page).read_text()))
    assert set(packages_of(NEEDS)) <= words


def test_without_apt_nothing_is_installed_and_the_packages_are_named(tmp_path: Path) -> None:
    with pytest.raises(NodesUnavailableError, match=r"busybox-static.*root and apt-get"):
        install_packages({"PATH": str(tmp_path)}, lambda _: None)


def test_an_api_server_older_than_the_kubelet_is_refused_and_a_newer_patch_is_not() -> None:
    major, minor, patch = version_tuple(KUBERNETES.version)
    with pytest.raises(NodesUnavailableError, match="unset KUBEBUILDER_ASSETS"):
        refuse_older(f"v{major}.{minor - 1}.{patch + 5}")
    refuse_older(f"v{major}.{minor}.0")


async def test_a_lab_with_nodes_is_refused_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodesUnavailableError, match="This machine cannot have nodes"):
        await Lab.launch(data_dir=tmp_path / "data", options=LabOptions(nodes=1))
    assert not (tmp_path / "data").exists()


def test_the_command_line_says_what_is_lacking_and_ends_with_exit_code_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    ran = driftd("lab", "up", "--nodes", "1")
    assert (ran.code, ran.out) == (3, "")
    assert "This machine cannot have nodes" in ran.err
    doctor = driftd("lab", "doctor", "-o", "json")
    assert doctor.code == 0
    assert {check["capability"]: check["present"] for check in json.loads(doctor.out)["checks"]}["node"] is False
