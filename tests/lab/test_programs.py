"""Which programs are taken and which are passed over, with small scripts in their place."""

import os
from pathlib import Path

from driftd.lab.programs import Programs, Refusal, in_folders, installed_programs

GOOD = {
    "etcd": "etcd Version: 3.6.8\nGit SHA: x",
    "kube-apiserver": "Kubernetes v1.36.3",
    "kube-controller-manager": "Kubernetes v1.36.3",
}


def install(folder: Path, says: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, words in says.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\ncat <<'END'\n{words}\nEND\n")
        path.chmod(0o755)
    return folder


def test_a_complete_and_recent_set_is_taken(tmp_path: Path) -> None:
    found = in_folders("PATH", [install(tmp_path / "bin", GOOD)])
    assert isinstance(found, Programs)
    assert found.etcd == (str(tmp_path / "bin" / "etcd"),)
    assert (found.version, found.source) == ("v1.36.3", "PATH")


def test_the_distributions_etcd_without_an_api_server_is_of_no_use(tmp_path: Path) -> None:
    found = in_folders("PATH", [install(tmp_path / "bin", {"etcd": "etcd Version: 3.4.23"})])
    assert found == Refusal("PATH", "has no kube-apiserver")


def test_an_etcd_that_is_too_old_is_named_with_what_is_needed(tmp_path: Path) -> None:
    found = in_folders("PATH", [install(tmp_path / "bin", {**GOOD, "etcd": "etcd Version: 3.4.23"})])
    assert str(found) == "PATH: etcd is 3.4.23, needed is 3.5 or newer"


def test_programs_of_different_releases_are_not_mixed(tmp_path: Path) -> None:
    found = in_folders("PATH", [install(tmp_path / "bin", {**GOOD, "kube-apiserver": "Kubernetes v1.35.4"})])
    assert isinstance(found, Refusal)
    assert "different releases" in found.reason


def test_a_program_that_does_not_run_is_refused(tmp_path: Path) -> None:
    folder = install(tmp_path / "bin", GOOD)
    (folder / "etcd").write_text("#!/bin/sh\nexit 1\n")
    assert "does not run" in str(in_folders("PATH", [folder]))


def test_kubebuilder_assets_come_before_path_and_a_refusal_is_told(tmp_path: Path) -> None:
    assets, path = install(tmp_path / "assets", GOOD), install(tmp_path / "bin", GOOD)
    environ = {"KUBEBUILDER_ASSETS": str(assets), "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    found, refusals = installed_programs(environ)
    assert found is not None
    assert (found.source, refusals) == ("KUBEBUILDER_ASSETS", [])
    (assets / "kube-controller-manager").unlink()
    found, refusals = installed_programs(environ)
    assert found is not None
    assert found.source == "PATH"
    assert [str(refusal) for refusal in refusals] == ["KUBEBUILDER_ASSETS: has no kube-controller-manager"]
