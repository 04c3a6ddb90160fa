"""Lines come out whole however the bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.cluster.lines import LineCutter, LineTooLong


@given(st.lists(st.binary(min_size=1).filter(lambda b: b"\n" not in b and b.strip()), max_size=8), st.data())
def test_any_cutting_of_the_stream_gives_the_same_lines(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    cutter, got = LineCutter(10**6), []
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        got += list(cutter.feed(whole[start:end]))
    assert got == lines
    assert cutter.pending == 0


def test_a_line_that_has_not_ended_is_counted() -> None:
    cutter = LineCutter(100)
    assert list(cutter.feed(b"one\ntw")) == [b"one"]
    assert cutter.pending == 2


def test_a_line_over_the_limit_is_refused_before_it_ends() -> None:
    cutter = LineCutter(10)
    with pytest.raises(LineTooLong):
        list(cutter.feed(b"x" * 11))
