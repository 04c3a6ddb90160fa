"""A lease that could not be kept is refused where it is set, before anything runs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from driftd.cluster import LeaseSettings as Kept
from driftd.settings import LeaseSettings

seconds = st.sampled_from([0.5, 1.0, 8.0, 8.4, 9.0, 10.0, 15.0]) | st.floats(0.1, 60.0)


@settings(max_examples=200, deadline=None)
@given(seconds, seconds, seconds)
def test_what_the_settings_take_the_elector_takes_and_nothing_else(
    retry: float, renew_deadline: float, duration: float
) -> None:
    asked = {"retry_seconds": retry, "renew_deadline_seconds": renew_deadline, "duration_seconds": duration}
    try:
        Kept(duration=duration, renew_deadline=renew_deadline, retry=retry)
    except ValueError:
        with pytest.raises(ValidationError):
            LeaseSettings.model_validate(asked)
    else:
        LeaseSettings.model_validate(asked)


def test_a_pause_that_may_outlast_the_deadline_is_refused_with_the_rule() -> None:
    with pytest.raises(ValidationError, match=r"retry_seconds \* 1.2 < renew_deadline_seconds < duration_seconds"):
        LeaseSettings(retry_seconds=9.0, renew_deadline_seconds=10.0, duration_seconds=15.0)


@settings(max_examples=50, deadline=None)
@given(st.floats(4.0, 60.0))
def test_a_longer_lease_lengthens_the_deadline_with_it(duration: float) -> None:
    """`duration_seconds` alone was set, and an answer was still waited for 3.3 s."""
    deadline = LeaseSettings(duration_seconds=duration).renew_deadline_seconds
    assert Kept(duration=duration, renew_deadline=deadline).answer == pytest.approx(duration * 2 / 9)


def test_the_shipped_lease_is_the_one_that_the_elector_has_unless_told() -> None:
    shipped, kept = LeaseSettings(), Kept()
    assert (shipped.duration_seconds, shipped.renew_deadline_seconds) == (kept.duration, kept.renew_deadline)
    assert shipped.retry_seconds == kept.retry


def test_a_deadline_that_is_set_stands() -> None:
    assert LeaseSettings(duration_seconds=30.0, renew_deadline_seconds=12.0).renew_deadline_seconds == 12.0


def test_a_duration_that_is_no_number_is_what_is_complained_of() -> None:
    with pytest.raises(ValidationError) as refused:
        LeaseSettings.model_validate({"duration_seconds": "long"})
    assert ("duration_seconds",) in [one["loc"] for one in refused.value.errors()]
