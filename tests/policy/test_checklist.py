"""Every line of the checklist of policy semantics is quoted by a test that holds it, or has a reason why none can."""

import dataclasses
import re
from pathlib import Path

import pytest

from driftd.policy.reach import Answer, Dialect
from tests.support.checklist import CHECKLIST, WITHOUT_BEHAVIOUR, clauses, quotes

LINES = {"1.1": 14, "1.3": 15, "1.4": 6, "1.6": 3}
"""How many lines each section has where it is written down."""
PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"


@pytest.mark.parametrize("section", LINES)
def test_the_table_holds_every_line_of_the_checklist(section: str) -> None:
    assert len(CHECKLIST[section]) == LINES[section]
    assert all(line and all(line) for line in CHECKLIST[section])


def test_no_clause_stands_twice() -> None:
    assert len(clauses()) == sum(len(line) for lines in CHECKLIST.values() for line in lines)


def test_every_clause_is_quoted_by_a_test_or_has_a_reason_why_not() -> None:
    quoted = {(quote.section, quote.words) for quote in quotes()}
    missing = {(section, words) for words, section in clauses().items()} - quoted
    assert {words for _, words in missing} == WITHOUT_BEHAVIOUR.keys()


def test_tests_quote_nothing_but_the_checklist() -> None:
    known = {(section, words) for words, section in clauses().items()}
    assert [quote for quote in quotes() if (quote.section, quote.words) not in known] == []


def test_the_page_of_dialects_answers_as_the_engine_does() -> None:
    words = {"yes": Answer.YES, "no": Answer.NO, "open": Answer.MAYBE}
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \| (\w+) \| (\w+) \| (\w+) \|$", PAGE.read_text(), re.MULTILINE)
    told = {field: [words[word] for word in answers] for field, *answers in rows}
    dialects = (Dialect.KUBERNETES, Dialect.CALICO, Dialect.CILIUM)
    fields = [one.name for one in dataclasses.fields(Dialect.CALICO.reading) if one.name != "undefined_protocols"]
    assert told == {field: [getattr(one.reading, field) for one in dialects] for field in fields}
