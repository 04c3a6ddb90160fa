"""What a page says: enough to act on, nothing that must not leave the house, and a runbook for each class."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from driftd.paging import Action, Links, Page, PageClass, PageState, Urgency, line
from driftd.paging.alerts import alert_of
from driftd.paging.events import change_of, resolve_of, trigger_of
from driftd.paging.pages import reason_of
from driftd.paging.wording import runbook_of, summary_of
from driftd.values import Change, Claim, FindingType, Witness
from tests.support.paging import START, HandClock, drift, machine

RUNBOOKS = Path(__file__).resolve().parents[2] / "docs" / "runbooks"
SECRET = "hunter2-S3CRET"


def page(**more: Any) -> Page:
    """The page of one crossing that stands."""
    clock, one = HandClock(), machine()
    one.opened(replace(drift(), **more), clock.instant())
    clock.pass_(1)
    one.advance(clock.instant())
    return one.take()[-1]


def every_text(one: Page) -> str:
    links = Links("https://docs.example", "https://traces.example/{trace_id}")
    told = [trigger_of(one, "c", links), resolve_of(one), change_of(one, "c", links)]
    told.append(alert_of(one, "c", links, START, Urgency.CRITICAL, over=False))
    return json.dumps(told)


@pytest.mark.parametrize("cls", list(PageClass))
def test_each_class_has_a_runbook_page(cls: PageClass) -> None:
    text = (RUNBOOKS / runbook_of(cls)).read_text()
    assert text.startswith("# ")
    assert len(text.splitlines()) > 3


def test_a_page_says_what_where_and_what_to_ask_next() -> None:
    witness = Witness("globex-prod/web", "acme-prod/db", "TCP", "5432")
    claim = Claim("kubectl-edit", "managedFields")
    text = every_text(page(witness=witness, claimed_by=claim))
    for part in (
        "NetworkPolicy acme-prod/default-deny",
        "globex-prod/web -> acme-prod/db TCP/5432",
        "kubectl-edit (managedFields)",
        "driftd history --namespace acme-prod --since 2026-11-22T02:00Z",
        "docs/runbooks/crossing.md",
    ):
        assert part in text


def test_no_value_of_a_field_and_no_word_of_the_server_leaves_the_house() -> None:
    change = Change(("spec", "x"), SECRET, SECRET, f"x is {SECRET}")
    said = f"admission webhook denied: token {SECRET}, see https://u:{SECRET}@git.example/repo"
    for finding in (
        page(changes=(change,)),
        page(type=FindingType.BLOCKED, summary=said),
        page(summary=f"from https://u:{SECRET}@git.example/repo"),
    ):
        assert SECRET not in every_text(finding)


def test_a_link_without_an_address_is_left_out() -> None:
    assert trigger_of(page(), "c", Links())["links"] == []
    no_trace = trigger_of(page(), "c", Links(trace="https://traces.example/{trace_id}"))
    assert no_trace["links"] == [], "no trace was taken"


def test_what_others_write_is_one_bounded_line() -> None:
    assert line("a\nb\x1b[31m\u202ec") == "a b [31m c"
    assert len(line("x" * 5000)) == 240
    assert line("git+ssh://bot:pass@word@git.example/x") == "git+ssh://***@git.example/x"


def test_summaries_and_keys_are_within_the_bounds_of_the_api() -> None:
    name, namespace = "n" * 253, "s" * 63
    one = page(ref=replace(drift().ref, name=name, namespace=namespace), summary="y" * 9000, tenant="t" * 63)
    event = trigger_of(one, "c" * 253, Links())
    assert len(event["payload"]["summary"]) <= 1024
    assert len(event["dedup_key"]) <= 255
    assert len(json.dumps(event)) < 8000


def test_a_page_whose_direction_nobody_knows_says_so() -> None:
    clock, one = HandClock(), machine()
    one.opened(drift(shape="unjudged"), clock.instant())
    clock.pass_(1)
    one.advance(clock.instant())
    (found,) = one.take()
    assert "may open a way across tenants (not judged)" in summary_of(found, "c")


def test_a_storm_says_how_many_and_names_some() -> None:
    clock, one = HandClock(), machine()
    for n in range(40):
        one.opened(drift(f"f{n}", name=f"p{n}"), clock.instant())
    clock.pass_(1)
    one.advance(clock.instant())
    (storm,) = [found for found in one.take() if found.cls is PageClass.STORM]
    assert summary_of(storm, "c").startswith(
        "[c] 40 pages at once, 40 not over: NetworkPolicy acme-prod/p0 (crossing); "
    )


def test_the_trace_of_the_cycle_goes_with_the_page() -> None:
    reason = reason_of(drift(), START, "ab" * 16)
    one = replace(page(), reasons=(reason,), state=PageState.RESOLVED)
    assert "ab" * 16 in json.dumps(trigger_of(one, "c", Links(trace="https://traces.example/{trace_id}")))
    assert resolve_of(one)["event_action"] == Action.RESOLVE


def annotations_of(one: Page) -> dict[str, str]:
    annotations: dict[str, str] = alert_of(one, "c", Links(), START, Urgency.CRITICAL, over=False)["annotations"]
    return annotations


def test_both_ways_of_telling_name_the_object_its_trace_and_how_often_it_was() -> None:
    reason = replace(reason_of(drift(), START, "ab" * 16), times=3)
    one = replace(page(), reasons=(reason,))
    for told in (annotations_of(one), trigger_of(one, "c", Links())["payload"]["custom_details"]):
        assert told["trace_id"] == "ab" * 16
        assert told["object"] == "NetworkPolicy acme-prod/default-deny"
        assert told["times"] == "3"


def test_both_ways_of_telling_a_storm_say_how_many_pages_it_is_and_which() -> None:
    samples = ("NetworkPolicy acme-prod/p0 (crossing)", "NetworkPolicy acme-prod/p1 (crossing)")
    one = replace(page(), cls=PageClass.STORM, members=40, standing=7, samples=samples)
    for told in (annotations_of(one), trigger_of(one, "c", Links())["payload"]["custom_details"]):
        assert (told["pages"], told["not_over"], told["among_them"]) == ("40", "7", "; ".join(samples))


def test_an_alert_is_the_same_alert_whatever_its_trace_and_count_say() -> None:
    reason = reason_of(drift(), START, "ab" * 16)
    first, second = (replace(page(), reasons=(replace(reason, trace=trace, times=n),)) for n, trace in enumerate("ab"))
    one, other = (alert_of(found, "c", Links(), START, Urgency.CRITICAL, over=False) for found in (first, second))
    assert one["labels"] == other["labels"]
    assert one["annotations"] != other["annotations"]


def test_a_page_about_pods_nobody_has_says_that_it_concerns_none_now() -> None:
    witness = Witness("globex-prod/any pod role=x", "acme-prod/db", "TCP", "5432")
    one = page(witness=witness, neutral_now=True)
    assert "opens a way across tenants for pods made later, and for none now" in summary_of(one, "c")
    told = "no pod that is known gains anything now; one made later could: globex-prod/any pod role=x -> acme-prod/db"
    assert told in trigger_of(one, "c", Links())["payload"]["custom_details"]["effect"]
    assert told in json.dumps(alert_of(one, "c", Links(), START, Urgency.CRITICAL, over=False))


def test_a_page_is_named_for_what_concerns_somebody_now() -> None:
    later, now = replace(drift(), neutral_now=True), replace(drift("f2"), summary="the other")
    one = replace(page(), reasons=tuple(reason_of(found, START, "") for found in (later, now)))
    assert "opens a way across tenants (open); the other" in summary_of(one, "c")
