"""Alertmanager as a destination: a real one where it can be had; answers of our own for what it never does."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from driftd.paging import (
    About,
    Action,
    Alertmanager,
    Links,
    NotAccepted,
    Page,
    PageClass,
    PageState,
    Reason,
    Refused,
    Step,
    Urgency,
)
from tests.support.alertmanager import alertmanager


def page(urgency: Urgency = Urgency.CRITICAL) -> Page:
    about = About("object x", "NetworkPolicy", "default-deny", "acme-prod", "acme")
    now = datetime.now(UTC)
    reason = Reason(
        "f1",
        PageClass.CROSSING,
        "modified",
        "differs from the model",
        judged=True,
        opened=now,
        trace="ab" * 16,
        times=3,
    )
    state, cls = PageState.OPEN, PageClass.CROSSING
    return Page("driftd:shared-eu-1:abc", 7, about, "default", state, cls, urgency, now, reasons=(reason,), revision=1)


def sender(url: str) -> Alertmanager:
    links = Links(runbooks="https://docs.example/runbooks")
    return Alertmanager(url=url, cluster=lambda: "shared-eu-1", links=links, timeout_seconds=2.0)


def now() -> datetime:
    return datetime.now(UTC)


async def test_a_real_alertmanager_is_told_of_a_page_its_escalation_and_its_end(tmp_path: Path) -> None:
    async with alertmanager(tmp_path / "am") as real:
        one = sender(real.url)
        warned = page(Urgency.WARNING)
        await one.send(Step(warned, Action.TRIGGER), now())
        await real.until_told(("firing", "DriftdCrossing", "warning"))
        (alert,) = await real.alerts()
        assert alert["labels"]["tenant"] == "acme"
        assert alert["generatorURL"] == "https://docs.example/runbooks/crossing.md"
        assert alert["annotations"]["history"].startswith("driftd history --namespace acme-prod")
        told = {key: alert["annotations"][key] for key in ("trace_id", "object", "times")}
        assert told == {"trace_id": "ab" * 16, "object": "NetworkPolicy acme-prod/default-deny", "times": "3"}
        worse = replace(warned, urgency=Urgency.CRITICAL, revision=2)
        await one.send(Step(worse, Action.TRIGGER, Urgency.WARNING), now())
        await real.until_told(("resolved", "DriftdCrossing", "warning"), ("firing", "DriftdCrossing", "critical"))
        await one.refresh([Step(worse, Action.TRIGGER, Urgency.CRITICAL)], now())
        assert [alert["labels"]["severity"] for alert in await real.alerts()] == ["critical"]
        over = replace(worse, state=PageState.RESOLVED)
        await one.send(Step(over, Action.RESOLVE, Urgency.CRITICAL), now())
        await real.until_told(("resolved", "DriftdCrossing", "critical"))
        assert await real.alerts() == []
        await one.close()


async def test_an_alert_said_again_ends_later(tmp_path: Path) -> None:
    async with alertmanager(tmp_path / "am") as real:
        one = sender(real.url)
        await one.send(Step(page(), Action.TRIGGER), now())
        (first,) = await real.alerts()
        await one.refresh([Step(page(), Action.TRIGGER, Urgency.CRITICAL)], now())
        (second,) = await real.alerts()
        assert second["endsAt"] > first["endsAt"]
        assert second["fingerprint"] == first["fingerprint"]
        await one.close()


@asynccontextmanager
async def answering(make: Callable[[], web.Response]) -> AsyncIterator[tuple[str, list[Any]]]:
    """A server that answers as told: a stand-in, for answers that a healthy Alertmanager does not give."""
    taken: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        taken.append(await request.json())
        return make()

    app = web.Application()
    app.router.add_post("/api/v2/alerts", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", taken
    await runner.cleanup()


async def test_what_it_does_not_take_is_told_later_and_what_it_never_takes_is_refused() -> None:
    async with answering(lambda: web.Response(status=503, headers={"Retry-After": "4"})) as (url, _):
        one = sender(url)
        with pytest.raises(NotAccepted) as raised:
            await one.send(Step(page(), Action.TRIGGER), now())
        assert raised.value.retry_after == 4.0
        await one.close()
    async with answering(lambda: web.Response(status=400, text="bad label")) as (url, _):
        one = sender(url)
        with pytest.raises(Refused, match="bad label"):
            await one.send(Step(page(), Action.TRIGGER), now())
        await one.close()


async def test_nobody_there_is_no_fault_and_no_password_is_told() -> None:
    one = sender("http://user:hunter2@127.0.0.1:1")
    with pytest.raises(NotAccepted) as raised:
        await one.send(Step(page(), Action.TRIGGER), now())
    assert "hunter2" not in f"{raised.value} {one.name}"
    await one.close()


async def test_many_open_pages_are_said_again_in_requests_of_a_bounded_size() -> None:
    async with answering(lambda: web.Response(status=200)) as (url, taken):
        one = sender(url)
        steps = [Step(replace(page(), key=f"k{n}"), Action.TRIGGER, Urgency.CRITICAL) for n in range(450)]
        await one.refresh(steps, now())
        assert [len(alerts) for alerts in taken] == [200, 200, 50]
        await one.close()
