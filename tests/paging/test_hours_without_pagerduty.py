"""The whole way, store to stand-in over TLS, while PagerDuty is away, busy and forgetful for hours of injected time."""

from pathlib import Path

from pydantic import SecretStr

from driftd.paging import Links, PagerDuty
from tests.support.pager import Run, begin
from tests.support.pagerduty import StandIn, answering, cut, late, lost, well
from tests.support.paging import START, HandClock, drift


def sender(stand_in: StandIn, clock: HandClock) -> PagerDuty:
    return PagerDuty(
        name="pagerduty",
        key=lambda: SecretStr("R0UTINGKEY"),
        cluster=lambda: "shared-eu-1",
        links=Links(),
        now=clock.now,
        base_url=stand_in.url,
        timeout_seconds=0.5,
        ca_file=stand_in.ca_file,
    )


async def an_hour(run: Run, n: int) -> None:
    """One drift that is repaired, and one that stays."""
    await run.store.begin([drift(f"healed{n}", name=f"healed{n}"), drift(f"open{n}", name=f"open{n}")], [])
    run.clock.pass_(0.01)
    await run.store.close_findings([f"healed{n}"], "driftd", START)
    await run.pass_(3600, steps=4)


async def test_six_bad_hours_lose_no_page_and_double_none(tmp_path: Path) -> None:
    clock = HandClock()
    (tmp_path / "stand-in").mkdir()
    async with StandIn(tmp_path / "stand-in", slowness=2.0) as stand_in:
        run = await begin(tmp_path, clock, sender(stand_in, clock))
        await stand_in.go_away()
        await an_hour(run, 0)
        await run.die()
        run = await begin(tmp_path, clock, sender(stand_in, clock))
        await an_hour(run, 1)
        await stand_in.come_back()
        for n, trouble in enumerate((answering(429, "1200"), answering(503), lost, late, cut), 2):
            stand_in.handling = trouble
            await an_hour(run, n)
        stand_in.handling = well
        await run.pass_(3600, steps=6)
        opened = stand_in.incidents.opened
        assert len(opened) == len(set(opened)) == 14
        assert len(stand_in.incidents.open) == 7
        await run.store.close_findings([f"open{n}" for n in range(7)], "driftd", START)
        await run.pass_(3600, steps=6)
        assert stand_in.incidents.open == set()
        assert len(stand_in.incidents.opened) == 14
        assert await run.store.unsettled_pages() == []
        await run.store.close()
