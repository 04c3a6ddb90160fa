"""The trial behind `driftd page --test`: a page about nothing, told and ended, with the daemon's own senders."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from pydantic import ValidationError
from pydantic_settings import SettingsError

from driftd.app import trial_destinations
from driftd.cli.documents import PageTrial, TrialEntry
from driftd.cli.exits import Exit
from driftd.cli.failures import CommandError
from driftd.paging import (
    DEFAULT_ROUTE,
    About,
    Action,
    Destination,
    NotAccepted,
    Page,
    PageClass,
    PageState,
    Refused,
    Step,
    Urgency,
)
from driftd.settings import Settings


def tried() -> PageTrial:
    """Tell every destination; raises `CommandError` where there is none, or the settings are not valid."""
    try:
        settings = Settings()
    except (ValidationError, SettingsError) as error:
        raise CommandError(f"the settings are not valid: {error}", Exit.USAGE) from None
    destinations = trial_destinations(settings)
    if not destinations:
        raise CommandError(
            "no destination is set: pages are recorded only (`driftd page` shows them); set "
            "DRIFTD_PAGING__PAGERDUTY_KEY_FILE or DRIFTD_PAGING__ALERTMANAGER_URLS",
            Exit.USAGE,
        )
    return asyncio.run(_try(destinations, settings.identity))


async def _try(destinations: list[Destination], identity: str) -> PageTrial:
    tries = []
    try:
        for one in destinations:
            page = _page(identity)
            tries.append(await _tell(one, Step(page, Action.TRIGGER), "trigger"))
            over = replace(page, state=PageState.RESOLVED, resolved=page.opened)
            tries.append(await _tell(one, Step(over, Action.RESOLVE, page.urgency), "resolve"))
    finally:
        for one in destinations:
            await one.close()
    return PageTrial(accepted=all(one.accepted for one in tries), tries=tuple(tries))


async def _tell(destination: Destination, step: Step, action: Literal["trigger", "resolve"]) -> TrialEntry:
    began, why = time.monotonic(), ""
    try:
        await destination.send(step, datetime.now(UTC))
    except (NotAccepted, Refused) as error:
        why = error.why
    took = (time.monotonic() - began) * 1000
    return TrialEntry(destination=destination.name, action=action, accepted=not why, milliseconds=took, why=why)


def _page(identity: str) -> Page:
    now = datetime.now(UTC)
    stamp = int(now.timestamp() * 1000)
    return Page(
        key=f"driftd:test:{identity[:100]}:{stamp:x}",
        life=stamp,
        about=About("test", "driftd", identity),
        route=DEFAULT_ROUTE,
        state=PageState.OPEN,
        cls=PageClass.TEST,
        urgency=Urgency.WARNING,
        opened=now,
        revision=1,
    )
