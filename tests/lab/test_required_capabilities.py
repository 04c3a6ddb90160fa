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
