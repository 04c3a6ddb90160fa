"""Counts as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.drift.words import roughly


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "up to 20"), (20, "up to 20"), (21, "more than 20"), (50, "more than 20"), (51, "more than 50"),
        (1_000, "more than 500"), (1_001, "more than 1,000"), (10**7, "more than 100,000"),
    ],
)  # fmt: skip
def test_a_count_is_rounded_down_to_a_few_steps(count: int, words: str) -> None:
    assert roughly(count) == words


@given(st.integers(21, 10**7))
def test_more_is_never_said_than_there_is(count: int) -> None:
    assert int(roughly(count).removeprefix("more than ").replace(",", "")) < count
