import re
from pathlib import Path

import pytest

from tests.support.control_plane import lacking


def test_a_capability_that_nobody_requires_skips_and_says_what_is_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTD_REQUIRE", "node")
    with pytest.raises(pytest.skip.Exception, match="lacks the capability control_plane: no etcd"):
        lacking("control_plane", "no etcd")


def test_a_required_capability_fails_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTD_REQUIRE", "node, control_plane")
    with pytest.raises(pytest.fail.Exception, match="DRIFTD_REQUIRE names control_plane"):
        lacking("control_plane", "no etcd")


def test_the_readme_names_every_capability_that_a_test_may_lack() -> None:
    root = Path(__file__).parents[2]
    code = "".join(file.read_text() for file in (root / "tests").rglob("*.py"))
    asked_for = {*re.findall(r'\b(?:lacking|program|library)\(\s*"([\w-]+)"', code)}
    assert {"control_plane", "root", "prometheus"} <= asked_for
    readme = (root / "README.md").read_text()
    assert {name for name in asked_for if not re.search(rf"[`,]{name}[`,]", readme)} == set()
