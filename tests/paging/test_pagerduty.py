"""The PagerDuty sender against a stand-in that speaks the Events API over TLS and misbehaves on command."""

import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr

from driftd.paging import (
    About,
    Action,
    Links,
    NotAccepted,
    Page,
    PageClass,
    PagerDuty,
    PageState,
    Reason,
    Refused,
    Step,
    Urgency,
)
from tests.support.pagerduty import StandIn, answering, cut, garbled, late, lost, well
from tests.support.paging import START

KEY = "R0UTINGKEY"
ABOUT = About("object x", "NetworkPolicy", "default-deny", "acme-prod", "acme")
REASON = Reason("f1", PageClass.CROSSING, "modified", "differs from the model", True, START, trace="ab" * 16)
PAGE = Page(
    "driftd:shared-eu-1:abc",
    7,
    ABOUT,
    "default",
    PageState.OPEN,
    PageClass.CROSSING,
    Urgency.CRITICAL,
    START,
    reasons=(REASON,),
    revision=1,
)
TRIGGER = Step(PAGE, Action.TRIGGER)
RESOLVE = Step(replace(PAGE, state=PageState.RESOLVED), Action.RESOLVE, Urgency.CRITICAL)
CHANGE = Step(
    replace(PAGE, state=PageState.CHANGE, cls=PageClass.LOOSENING, resolved=START + timedelta(seconds=1)), Action.CHANGE
)


@pytest_asyncio.fixture
async def stand_in(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with StandIn(tmp_path, slowness=0.5) as one:
        yield one


@pytest_asyncio.fixture
async def sender(stand_in: StandIn) -> AsyncIterator[PagerDuty]:
    one = sender_to(stand_in)
    yield one
    await one.close()


def sender_to(stand_in: StandIn, key: str = KEY, links: Links | None = None) -> PagerDuty:
    return PagerDuty(
        name="pagerduty",
        key=lambda: SecretStr(key),
        cluster=lambda: "shared-eu-1",
        links=links or Links(),
        now=lambda: START,
        base_url=stand_in.url,
        timeout_seconds=0.4,
        ca_file=stand_in.ca_file,
    )


async def test_a_page_opens_one_incident_and_ends_it(stand_in: StandIn, sender: PagerDuty) -> None:
    await sender.send(TRIGGER, START)
    await sender.send(TRIGGER, START)
    assert stand_in.incidents.opened == [PAGE.key]
    (event, _) = stand_in.events
    assert event["payload"]["severity"] == "critical"
    assert event["payload"]["summary"].startswith(
        "[shared-eu-1] acme: NetworkPolicy acme-prod/default-deny opens a way"
    )
    assert event["payload"]["custom_details"]["history"] == (
        "driftd history --namespace acme-prod --since 2026-11-22T02:00Z"
    )
    assert event["links"] == []
    await sender.send(RESOLVE, START)
    assert stand_in.incidents.open == set()


async def test_a_page_leads_to_its_runbook_and_its_trace(stand_in: StandIn) -> None:
    links = Links(runbooks="https://docs.example/runbooks/", trace="https://traces.example/{trace_id}")
    sender = sender_to(stand_in, links=links)
    await sender.send(TRIGGER, START)
    assert [link["href"] for link in stand_in.events[0]["links"]] == [
        "https://docs.example/runbooks/crossing.md",
        f"https://traces.example/{'ab' * 16}",
    ]
    await sender.close()


async def test_a_page_leaves_by_the_proxy_of_the_environment_unless_the_destination_is_exempt(
    stand_in: StandIn, sender: PagerDuty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(NotAccepted):
        await sender.send(TRIGGER, START)
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    await sender.send(TRIGGER, START)
    assert stand_in.incidents.opened == [PAGE.key]


async def test_a_change_event_carries_its_own_timestamp(stand_in: StandIn, sender: PagerDuty) -> None:
    await sender.send(CHANGE, START)
    (event,) = stand_in.changes
    assert event["payload"]["timestamp"] == "2026-11-22T02:00:01+00:00"
    assert stand_in.events == []


@pytest.mark.parametrize(
    ("status", "header", "wish"),
    [(429, "7", 7.0), (429, "", None), (429, "Sun, 22 Nov 2026 02:00:30 GMT", 30.0), (500, "", None), (503, "2", 2.0)],
)
async def test_what_is_not_taken_is_tried_once_and_left_to_the_outbox(
    stand_in: StandIn, sender: PagerDuty, status: int, header: str, wish: float | None
) -> None:
    stand_in.handling = answering(status, header)
    began = time.monotonic()
    with pytest.raises(NotAccepted) as raised:
        await sender.send(TRIGGER, START)
    assert raised.value.retry_after == wish
    assert stand_in.requests == 1
    assert time.monotonic() - began < 2.0  # the package alone would sleep 3 s and more


async def test_a_lost_answer_is_no_second_incident(stand_in: StandIn, sender: PagerDuty) -> None:
    for handling in (lost, late, cut):
        stand_in.handling = handling
        with pytest.raises(NotAccepted):
            await sender.send(TRIGGER, START)
    stand_in.handling = garbled
    await sender.send(TRIGGER, START)
    stand_in.handling = well
    await sender.send(TRIGGER, START)
    assert stand_in.incidents.opened == [PAGE.key]
    assert len(stand_in.events) == 4


async def test_somebody_who_is_away_is_told_later(stand_in: StandIn, sender: PagerDuty) -> None:
    await stand_in.go_away()
    with pytest.raises(NotAccepted):
        await sender.send(TRIGGER, START)
    await stand_in.come_back()
    await sender.send(TRIGGER, START)
    assert stand_in.incidents.opened == [PAGE.key]


async def test_a_malformed_page_is_refused_and_a_wrong_key_is_not(stand_in: StandIn, sender: PagerDuty) -> None:
    endless = replace(PAGE, key="k" * 300)
    with pytest.raises(Refused, match="dedup_key"):
        await sender.send(Step(endless, Action.TRIGGER), START)
    mistaken = sender_to(stand_in, key="WR0NGKEY")
    with pytest.raises(NotAccepted) as raised:
        await mistaken.send(TRIGGER, START)
    assert raised.value.retry_after == 60.0
    await mistaken.close()


async def test_a_server_that_nobody_vouches_for_is_told_nothing(stand_in: StandIn, tmp_path: Path) -> None:
    sender = PagerDuty(
        name="pagerduty",
        key=lambda: SecretStr(KEY),
        cluster=str,
        links=Links(),
        now=lambda: START,
        base_url=stand_in.url,
        timeout_seconds=0.3,
    )
    with pytest.raises(NotAccepted):
        await sender.send(TRIGGER, START)
    assert stand_in.requests == 0
    await sender.close()


async def test_a_key_that_cannot_be_read_loses_no_page(stand_in: StandIn, tmp_path: Path) -> None:
    sender = PagerDuty(
        name="pagerduty",
        key=lambda: SecretStr((tmp_path / "missing").read_text()),
        cluster=str,
        links=Links(),
        now=lambda: START,
        base_url=stand_in.url,
    )
    with pytest.raises(NotAccepted, match="FileNotFoundError"):
        await sender.send(TRIGGER, START)
    await sender.close()


async def test_the_key_is_in_no_log_and_no_error(
    stand_in: StandIn, sender: PagerDuty, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = ""
    for handling in (answering(400), answering(401), answering(429), answering(500), cut, late, garbled):
        stand_in.handling = handling
        try:
            await sender.send(TRIGGER, START)
        except (NotAccepted, Refused) as error:
            told += f"{error!r} {error} {error.__dict__} {error.__cause__} {error.__suppress_context__}"
    assert KEY not in told
    assert "False" not in told  # what the package raised shows in no traceback
    assert KEY[-4:] not in told  # the package shows the last four characters
    assert KEY not in caplog.text
    assert KEY not in repr(sender.__dict__)
