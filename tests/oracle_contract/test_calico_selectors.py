"""Calico's selector language, a truth table a construct."""

import pytest

from tests.oracle.calico_selectors import NAMESPACE, matches
from tests.oracle.selectors import NotAcceptedError

LABELS = {"app": "web", "tier": "front-end", "a.b/c-d_e": "1", "empty": ""}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", True),
        (" \t", True),
        ("all()", True),
        ("all( )", True),
        ("app == 'web'", True),
        ('app=="web"', True),
        ("app == 'api'", False),
        ("missing == 'web'", False),
        ("app != 'web'", False),
        ("app != 'api'", True),
        ("missing != 'web'", True),
        ("has(app)", True),
        ("has( app )", True),
        ("has(empty)", True),
        ("has(missing)", False),
        ("has(a.b/c-d_e)", True),
        ("app in {'api', 'web'}", True),
        ("app in{'web',}", True),
        ("app in {}", False),
        ("app not in {'web'}", False),
        ("app notin {'api'}", True),
        ("missing not in {'web'}", True),
        ("missing in {'web'}", False),
        ("tier contains 'nt-e'", True),
        ("tier contains ''", True),
        ("missing contains ''", False),
        ("tier starts with 'front'", True),
        ("tier startswith 'end'", False),
        ("tier ends  with 'end'", True),
        ("missing ends with ''", False),
        ("!has(app)", False),
        ("!!has(app)", True),
        ("! ! !has(app)", False),
        ("!(app == 'api')", True),
        ("app == 'api' || tier == 'front-end' && has(app)", True),
        ("(app == 'api' || has(app)) && has(missing)", False),
        ("has(app) || has(missing) && has(missing)", True),
        ("contains == 'x' || in != 'y'", True),
        ("""app == "it's" || app == 'web'""", True),
    ],
)
def test_a_selector_matches_as_its_grammar_says(text: str, *, answer: bool) -> None:
    assert matches(text, LABELS) is answer


@pytest.mark.parametrize(
    "text",
    [
        "app",
        "app = 'web'",
        "app == web",
        "app == 'web",
        "app == 'web' &",
        "app == 'web' && ",
        "has (app)",
        "has()",
        "all",
        "app tier",
        "(has(app)",
        "has(app))",
        "app in 'web'",
        "app in {'web' 'api'}",
        "has(app)\n&& has(tier)",
        "global()",
    ],
)
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(NotAcceptedError):
        matches(text, LABELS)


def test_over_namespaces_all_means_in_any_and_global_in_none() -> None:
    inside, outside = {NAMESPACE: "a"}, {"app": "web"}
    assert [matches("all()", who, over_namespaces=True) for who in (inside, outside)] == [True, False]
    assert [matches("global()", who, over_namespaces=True) for who in (inside, outside)] == [False, True]
    assert [matches("!all()", who, over_namespaces=True) for who in (inside, outside)] == [False, True]


def test_a_prefix_goes_before_every_label() -> None:
    assert matches("team == 'red' && has(team) && other != 'x'", {"pcns.team": "red"}, prefix="pcns.")
    assert not matches("team == 'red'", {"team": "red"}, prefix="pcns.")
