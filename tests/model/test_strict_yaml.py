"""The strict reader: one meaning for every file, a place for every fault, no file that breaks it."""

import json

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from driftd.model.places import place_of
from driftd.model.strict_yaml import MAX_BYTES, MAX_DEPTH, MAX_FAULTS, read_yaml


def value(text: str) -> object:
    stream = read_yaml(text.encode())
    assert stream.faults == ()
    (document,) = stream.documents
    return document.value


def fault(data: bytes) -> tuple[int, int, str]:
    first = read_yaml(data).faults[0]
    assert first.remedy
    return first.line, first.column, first.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-7", -7),
        ("+7", 7),
        ("12:30", "12:30"),
        ("22:22", "22:22"),
        ("1_000", "1_000"),
        ("2026-12-01", "2026-12-01"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.2.3.4", "1.2.3.4"),
        ("-", [None]),
        ("'010'", "010"),
        ('"true"', "true"),
        ("= x", "= x"),
        ("8Gi", "8Gi"),
        ("18446744073709551615", 18446744073709551615),
    ],
)
def test_plain_scalars_mean_what_yaml_1_2_says(text: str, expected: object) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("data", "line", "column", "part"),
    [
        (b"a: 1\nb: *a\n", 2, 4, "alias"),
        (b"a: &x 1\n", 1, 4, "anchor"),
        (b"a: !!str 1\n", 1, 4, "tag"),
        (b"a: !secret {b: 1}\n", 1, 4, "tag"),
        (b"a: 1\nc: 2\na: 3\n", 3, 1, "twice"),
        (b"a:\n  8080: x\n", 2, 3, "not a string"),
        (b"true: x\n", 1, 1, "not a string"),
        (b"{[a]: 1}", 1, 2, "key"),
        (b"{{a: b}: 1}", 1, 2, "key"),
        (b"<<: {a: 1}\n", 1, 1, "merge"),
        (b"a: .inf\n", 1, 4, "number"),
        (b"a: 99999999999999999999\n", 1, 4, "number"),
        (b"a: 1e999\n", 1, 4, "number"),
        (b"a: " + b"9" * 5000, 1, 4, "number"),
        (b"a: b\nc: \xff\n", 2, 4, "UTF-8"),
        (b"\xff\xfea\x00:\x00", 1, 1, "UTF-8"),
        (b"a: \x07\n", 1, 4, "U+0007"),
        ("a: 1\nb: x\u202ey\n".encode(), 2, 5, "U+202E"),
        (b'a: "\\u202e"\n', 1, 4, "U+202E"),
        (b"\ta: 1\n", 1, 1, "not YAML"),
        (b"a: b: c\n", 1, 5, "not YAML"),
        (b"a: [1, 2\n", 2, 1, "not YAML"),
        (b"%YAML 1.1\n---\na: 1\n", 1, 1, "version"),
        (b"a: " + b"[" * (MAX_DEPTH + 1), 1, 67, "deep"),
    ],
)
def test_what_readers_disagree_on_is_refused_at_its_place(data: bytes, line: int, column: int, part: str) -> None:
    found = fault(data)
    assert found[:2] == (line, column)
    assert part in found[2]


def test_an_alias_bomb_costs_nothing() -> None:
    bomb = "a: &a [x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(8)
    )
    assert read_yaml(bomb.encode()).documents == ()


def test_deep_nesting_stops_at_the_cap_however_deep_the_file_is() -> None:
    for data in (b"[" * 1_000_000, b"{a: " * 200_000, b"- " * 100_000, b"? " * 100_000):
        stream = read_yaml(data)
        assert stream.broken
        assert stream.documents == ()
    assert read_yaml(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH).faults == ()


def test_a_file_over_the_size_cap_is_not_read() -> None:
    stream = read_yaml(b"a: 1\n" + b"#" * MAX_BYTES)
    assert stream.broken
    assert "bytes" in stream.faults[0].message


def test_faults_are_told_up_to_a_bound() -> None:
    stream = read_yaml(b"\n".join(b"%d: x" % number for number in range(1000)))
    assert len(stream.faults) == MAX_FAULTS + 1
    assert stream.broken


def test_a_file_may_hold_many_documents_and_empty_ones() -> None:
    stream = read_yaml(b"# only words\n---\na: 1\n---\n---\nb: 2\n...\n")
    assert [document.value for document in stream.documents] == [{"a": 1}, None, {"b": 2}]


def test_documents_before_a_syntax_error_are_kept_and_the_file_is_marked() -> None:
    stream = read_yaml(b"a: 1\n---\nb: [\n")
    assert [document.value for document in stream.documents] == [{"a": 1}]
    assert stream.broken


def test_places_point_at_values_keys_and_the_nearest_thing_around_what_is_missing() -> None:
    (document,) = read_yaml("a:\n  b:\n    - x\n    - {c: dé, e: 5}\n".encode()).documents
    assert place_of(document.spot, ("a", "b", 1, "e")) == (4, 18)
    assert place_of(document.spot, ("a", "b", 1, "e"), key=True) == (4, 15)
    assert place_of(document.spot, ("a", "b")) == (2, 3)
    assert place_of(document.spot, ("a", "b", "no", "such")) == (2, 3)
    assert place_of(document.spot, ()) == (1, 1)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
@example(b"\xef\xbb\xbf")
@example(b"%TAG ! tag:x,2000:\n---\n!a b")
@example(b"--- >\n")
@example(b'"\\x')
@example(b"a: |\n\t")
def test_no_bytes_make_the_reader_raise(data: bytes) -> None:
    read_yaml(data)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab:-[]{}\n ,'\"#&*!|>%@`?~<=.019\t\\", max_size=60))
def test_no_yaml_like_text_makes_the_reader_raise_and_what_it_takes_is_json(text: str) -> None:
    for document in read_yaml(text.encode()).documents:
        json.dumps(document.value, allow_nan=False)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz-_/.", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON)
def test_json_is_read_as_what_it_says(tree: object) -> None:
    (document,) = read_yaml(json.dumps(tree).encode()).documents
    assert document.value == tree


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON)
def test_what_a_yaml_dumper_writes_means_the_same_here(tree: object) -> None:
    text = yaml.dump(tree, Dumper=yaml.CSafeDumper)
    stream = read_yaml(text.encode())
    if not stream.faults:  # a dumper writes anchors for values that stand there twice, and those are refused
        assert stream.documents[0].value == tree
