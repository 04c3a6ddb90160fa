"""YAML in and out: what is written means the same to every reader, and what is read means what Kubernetes meant."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.cli.plain_yaml import UnreadableYaml, documents, dumped, dumped_all
from driftd.model.strict_yaml import read_yaml

TEXT = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12)
NUMBERLIKE = st.from_regex(r"\A[-+]?[0-9_]{1,3}(\.[0-9]*)?([eE][-+]?[0-9]{1,2})?\Z")
WORDS = st.sampled_from(
    [
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "true",
        "True",
        "NULL",
        "~",
        "0o17",
        "0x1F",
        ".5",
        ".inf",
        "010",
        "12:30",
        "2026-11-22",
        "=",
        "<<",
        "-",
        "?",
        "1e3",
    ]
)
STRINGS = TEXT | NUMBERLIKE | WORDS
VALUES = st.recursive(
    STRINGS | st.booleans() | st.none() | st.integers(-(2**63), 2**64 - 1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=12,
)
TREES = st.dictionaries(STRINGS, VALUES, max_size=5)


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_what_is_written_means_the_same_to_every_reader(tree: dict[str, object]) -> None:
    text = dumped(tree)
    stream = read_yaml(text.encode())
    assert not stream.faults
    assert stream.documents[0].value == tree
    assert yaml.load(text, Loader=yaml.CSafeLoader) == tree
    assert list(documents(text.encode())) == [tree]


def test_documents_are_read_one_by_one_and_empty_ones_are_left_out() -> None:
    assert list(documents(b"a: 1\n---\n---\n# nothing\n---\nb: [x, {c: null}]\n")) == [
        {"a": 1},
        {"b": ["x", {"c": None}]},
    ]
    assert list(documents(dumped_all([{"a": "1"}, {"b": 2}]).encode())) == [{"a": "1"}, {"b": 2}]


def test_times_and_words_that_old_yaml_converts_stay_strings() -> None:
    (value,) = documents(b"{at: 2026-11-22T02:00:00Z, on: yes, id: 12:30:45, 'null': x, 1: a}")
    assert value == {"at": "2026-11-22T02:00:00Z", "on": "yes", "id": "12:30:45", "null": "x", "1": "a"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"a: &x [1]\nb: *x\n", "alias"),
        (b"a: !!python/object:os.system x\n", "tag"),
        (b"a: !!int '1'\n", "tag"),
        (b"a: 1\na: 2\n", "stands twice"),
        (b"{[a]: 1}\n", "not a string"),
        (b"a: [1\n", "line"),
        (b"a: .nan\n", "number"),
        (b"[" * 200_000, "deep"),
        (b"a: \xff\n", "invalid"),
    ],
)
def test_what_readers_disagree_on_is_refused_and_nothing_crashes(text: bytes, why: str) -> None:
    with pytest.raises(UnreadableYaml, match=why):
        list(documents(text))
