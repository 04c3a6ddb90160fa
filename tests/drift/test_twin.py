"""Names of twins: reserved, valid, different."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.drift.twin import SUFFIX, twin_name

LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = re.compile(rf"{LABEL}(\.{LABEL})*")
names = st.from_regex(SUBDOMAIN, fullmatch=True).filter(lambda name: len(name) <= 253)
long_names = st.text("a.-", min_size=200, max_size=253).map(lambda name: f"x{name}y"[:253]).filter(SUBDOMAIN.fullmatch)


def test_a_twins_name_says_whose_it_is() -> None:
    assert twin_name("default-deny") == "default-deny-driftd-twin"


@settings(max_examples=200)
@given(names | long_names)
def test_a_twins_name_is_a_valid_name(name: str) -> None:
    twin = twin_name(name)
    assert len(twin) <= 253
    assert twin.endswith(SUFFIX)
    assert SUBDOMAIN.fullmatch(twin)


def test_long_names_that_differ_at_the_end_have_different_twins() -> None:
    assert twin_name("a" * 252 + "b") != twin_name("a" * 252 + "c")
    assert SUBDOMAIN.fullmatch(twin_name("a." * 126 + "b"))
