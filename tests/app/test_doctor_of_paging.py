"""What `driftd doctor` says of who is woken: the general way, and every route's own."""

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from driftd.app.doctor import Check, State, _paging
from driftd.settings import PagingSettings, RouteSettings, Settings

KEY = SecretStr("R0UTINGKEY")
GOLD = RouteSettings(name="gold", pagerduty_key=KEY)
SILVER = RouteSettings(name="silver", tenants=frozenset({"acme"}))


def told(folder: Path, **paging: Any) -> Check:
    return _paging(Settings(data_dir=folder, paging=PagingSettings(**paging)))


def test_a_key_file_of_a_route_that_cannot_be_read_is_named_beside_the_general_one(tmp_path: Path) -> None:
    here, lost, gone = tmp_path / "key", tmp_path / "lost", tmp_path / "gone"
    here.write_text("R0UTINGKEY")
    route = RouteSettings(name="gold", pagerduty_key_file=lost)
    one = told(tmp_path, pagerduty_key_file=here, routes=(route,))
    assert (one.state, one.seen) == (State.MISSING, f"the key file {lost} cannot be read")
    both = told(tmp_path, pagerduty_key_file=gone, routes=(route,))
    assert (both.state, both.seen) == (State.MISSING, f"the key files {gone}, {lost} cannot be read")
    lost.write_text("R0UTINGKEY")
    assert told(tmp_path, pagerduty_key_file=here, routes=(route,)).state is State.OK


def test_a_key_file_without_a_key_wakes_nobody(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("\n")
    one = told(tmp_path, pagerduty_key_file=file)
    assert (one.state, one.seen) == (State.MISSING, f"there is no key in {file}")
    assert one.remedy


def test_a_route_without_a_key_is_told_to_take_the_general_way(tmp_path: Path) -> None:
    one = told(tmp_path, pagerduty_key=KEY, routes=(GOLD, SILVER))
    assert one.state is State.OK
    assert one.seen == (
        "a PagerDuty key; a key of its own for gold; no key for silver, whose pages take the general way"
    )
    alone = told(tmp_path, alertmanager_urls=("http://a:9093",), routes=(SILVER,))
    assert alone.seen == "Alertmanager at 1 addresses; no key for silver, whose pages take the general way"


def test_keys_on_routes_alone_wake_somebody_and_not_for_everything(tmp_path: Path) -> None:
    one = told(tmp_path, routes=(GOLD,))
    assert one.state is State.MISSING
    assert one.seen == (
        "a PagerDuty key for gold; no destination for all others and for driftd itself: "
        "pages are recorded, and nobody is woken"
    )
    assert "for all others (silver among them)" in told(tmp_path, routes=(GOLD, SILVER)).seen
    assert one.remedy


def test_without_any_way_nobody_is_woken(tmp_path: Path) -> None:
    for routes in ((), (SILVER,)):
        one = told(tmp_path, routes=routes)
        assert (one.state, one.seen) == (
            State.MISSING,
            "no destination: pages are recorded, and nobody is woken",
        )


def test_no_key_is_told(tmp_path: Path) -> None:
    assert "R0UTINGKEY" not in str(told(tmp_path, pagerduty_key=KEY, routes=(GOLD,)))
