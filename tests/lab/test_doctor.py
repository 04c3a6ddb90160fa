import os
from pathlib import Path

from driftd.lab import examine


def test_every_capability_is_answered_and_a_lack_says_what_it_costs(tmp_path: Path) -> None:
    bare = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    checks = {check.capability: check for check in examine(bare)}
    assert {"control_plane", "go", "root", "namespaces", "cgroups", "bpffs", "containerd"} <= checks.keys()
    assert all(check.seen for check in checks.values())
    for capability in ("control_plane", "go", "containerd"):
        assert not checks[capability].present
        assert checks[capability].costs


def test_looking_fetches_and_builds_nothing(tmp_path: Path) -> None:
    examine({**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert list(tmp_path.iterdir()) == []
