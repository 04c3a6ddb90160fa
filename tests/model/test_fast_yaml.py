"""The quick reader: what it says is what the strict one says, and it is silent where that one has to refuse."""

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from driftd.model.fast_yaml import read_plainly
from driftd.model.strict_yaml import MAX_BYTES, MAX_DEPTH, read_yaml

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text("ab:-#0 ~\n", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc.", min_size=1), inner, max_size=3),
    max_leaves=10,
)


def assert_no_other_meaning(data: bytes) -> None:
    """The law: no answer, or the strict reader's own, which then has no fault to tell."""
    quick = read_plainly(data)
    if quick is not None:
        strict = read_yaml(data)
        assert (strict.faults, strict.broken) == ((), False)
        assert repr([one.value for one in quick.documents]) == repr([one.value for one in strict.documents])
        assert [one.spot.line for one in quick.documents] == [one.spot.line for one in strict.documents]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab:-[]{}\n ,'\"#&*!|>%@`?~<=.019\t\\", max_size=60))
@example("a: 1\n---\n\n--- 2\n---\n- b\n...\n")
@example("? [a]\n: b")
@example("[a: b, {c: d}]")
@example("'<<': a")
@example("1: a")
@example("%YAML 1.2\n---\na: 1")
def test_it_never_reads_a_text_differently(text: str) -> None:
    assert_no_other_meaning(text.encode())


@settings(max_examples=100, deadline=None)
@given(st.lists(PLAIN, min_size=1, max_size=3), st.sampled_from([None, True, False]))
def test_what_a_dumper_writes_has_an_answer(trees: list[object], flow: bool | None) -> None:
    data = yaml.dump_all(trees, Dumper=yaml.CSafeDumper, default_flow_style=flow).encode()
    assert_no_other_meaning(data)
    if not read_yaml(data).faults:  # a dumper writes anchors for values that stand there twice
        assert read_plainly(data) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"a: &x 1",
        b"a: *x",
        b"a: !!str 1",
        b"a: 1\na: 2",
        b"1: a",
        b"[a]: b",
        b"<<: {a: 1}",
        b"a: 1e999",
        b'a: "\\u202e"',
        "a: \u202e".encode(),
        b"a: \xff",
        b"a: [",
        b"%YAML 1.1\n---\na: 1",
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b"a: 1\n" + b"#" * MAX_BYTES,
    ],
)
def test_what_the_strict_reader_refuses_has_no_answer(data: bytes) -> None:
    assert read_yaml(data).faults
    assert read_plainly(data) is None
