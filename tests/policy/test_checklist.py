"""Every line of the checklist of policy semantics is quoted by a test that holds it, or has a reason why none can."""

from pathlib import Path

import pytest

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
