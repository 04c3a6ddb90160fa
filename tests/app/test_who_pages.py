"""One replica pages: the leader, or whoever is left when nobody else is known to lead."""

from types import SimpleNamespace
from typing import Any, cast

from driftd.app.paging import Inside
from tests.support.cluster import HandClock

NOBODY = cast(Any, None)


def inside(*, looked: bool, led_by_other: bool, age: float) -> Inside:
    elector = SimpleNamespace(looked=looked, led_by_other=led_by_other)
    clock = HandClock()
    return Inside(NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, cast(Any, elector), clock, clock.time - age)


def test_who_leads_or_knows_that_nobody_does_pages_from_the_first_second() -> None:
    assert inside(looked=True, led_by_other=False, age=0.0).paging


def test_beside_a_leader_nobody_pages() -> None:
    assert not inside(looked=True, led_by_other=True, age=1e6).paging


def test_a_replica_that_has_just_begun_and_does_not_know_who_leads_pages_nobody_yet() -> None:
    assert not inside(looked=False, led_by_other=False, age=29.0).paging
    assert inside(looked=False, led_by_other=False, age=31.0).paging, (
        "an API server that never answers is paged by somebody"
    )
