"""Calico's selector language: every operator, precedence, and what is not accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.policy.reach.calico_selectors import calico_selector
from driftd.policy.reach.selectors import LabelIndex, MalformedSelector
from tests.oracle.calico_selectors import matches
from tests.support.tiered_clusters import calico_selectors

CARRIERS = [{}, {"app": "web"}, {"app": "worker", "tier": "front"}, {"tier": "back-end", "a.b/c_d-e": "1"}]


def matched(text: str) -> list[int]:
    index = LabelIndex()
    for labels in CARRIERS:
        index.add(labels)
    bits = index.match(calico_selector(text))
    return [position for position in range(len(CARRIERS)) if bits >> position & 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [0, 1, 2, 3]),
        (" \t", [0, 1, 2, 3]),
        ("all()", [0, 1, 2, 3]),
        ("app == 'web'", [1]),
        ('app=="web"', [1]),
        ("app != 'web'", [0, 2, 3]),
        ("has(app)", [1, 2]),
        ("!has(app)", [0, 3]),
        ("!!has(app)", [1, 2]),
        ("app in {'web', 'worker'}", [1, 2]),
        ("app not in {'web'}", [0, 2, 3]),
        ("app in {}", []),
        ("app contains 'or'", [2]),
        ("app starts with 'w'", [1, 2]),
        ("app startswith 'wo'", [2]),
        ("tier ends with 'end'", [3]),
        ("tier endswith 'ront'", [2]),
        ("a.b/c_d-e == '1'", [3]),
        ("has(tier) && has(app) || app == 'web'", [1, 2]),
        ("has(tier) && (has(app) || app == 'web')", [2]),
        ("!(has(tier) || has(app))", [0]),
        ("! has(app) && has(tier)", [3]),
    ],
)
def test_selectors_match_what_they_say(text: str, expected: list[int]) -> None:
    """Checklist 1.3: || && ! (!! collapses), parens, == != (!= and not in match missing label)
    Checklist 1.3: contains, starts with = startswith, ends with, has(), all()
    Checklist 1.3: labels [A-Za-z0-9_./-]; empty = all()
    """
    assert matched(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "app = 'x'",
        "app == x",
        "app == 'x",
        "has()",
        "app in 'x'",
        "(has(app)",
        "has(app))",
        "&& has(app)",
        "app\n== 'x'",
        "app == 'x\\'y'",
        "a:b == 'x'",
        "app == 'x\"",
    ],
)
def test_what_the_language_does_not_know_is_refused_with_the_place(text: str) -> None:
    """Checklist 1.3: single or double quotes, no escapes; only space/tab are whitespace"""
    with pytest.raises(MalformedSelector, match="selector"):
        calico_selector(text)


@given(
    text=calico_selectors(), labels=st.dictionaries(st.sampled_from(("app", "tier", "kind")), st.sampled_from("xya"))
)
def test_every_selector_matches_as_the_naive_reading_says(text: str, labels: dict[str, str]) -> None:
    index = LabelIndex()
    index.add(labels)
    assert bool(index.match(calico_selector(text))) == matches(text, labels)
