"""A stand-by that is cut off pages, and forgets it when it knows better: the leader tells the end of what it left."""

from dataclasses import replace
from pathlib import Path

from msgspec.structs import replace as replace_row
from structlog.testing import capture_logs

from driftd.paging import About, Condition, PageClass, PageState, Windows
from driftd.paging.pages import page_of, row_of
from driftd.paging.strangers import LOOK_SECONDS
from tests.support.pager import Fuse, Run, Service, begin, replica
from tests.support.paging import START, HandClock, Scripted, drift

BLIND = Condition(PageClass.BLIND, About("kinds", "Cluster", "kinds"), "pods cannot be read: timeout", "pods")
HELD = Condition(PageClass.HELD, About("model", "Model", "newest"), "dir:abc: two errors")


class Pair:
    """A leader and a stand-by on one store, and the service that both tell."""

    def __init__(self, leader: Run, standby: Run, told: list[Scripted], service: Service) -> None:
        self.leader, self.standby, self.told = leader, standby, told
        self.incidents = service.incidents
        self.said: list[Condition] = []
        leader.pager._conditions = lambda: self.said
        self.cut_off = False
        standby.pager._active = lambda: self.cut_off
        standby.pager._leading = lambda: False

    async def pass_(self, seconds: float, steps: int = 1) -> None:
        for _ in range(steps):
            self.leader.clock.pass_(seconds / steps)
            for one in (self.leader, self.standby):
                await one.pager.step()
                await one.pager.deliver()

    async def minutes(self, count: int) -> list[str]:
        """What the leader says about pages of others meanwhile."""
        with capture_logs() as logs:
            await self.pass_(count * LOOK_SECONDS, steps=6 * count)
        return [one["event"] for one in logs if one["event"] in ("page.left_by_other", "page.ended_elsewhere")]

    async def cut(self, seconds: float) -> None:
        """The stand-by hears nothing for so long, and says so."""
        self.cut_off = True
        await self.pass_(seconds, steps=5)
        self.cut_off = False

    async def unsettled(self) -> int:
        return len(await self.leader.store.unsettled_pages())


async def pair(folder: Path, windows: Windows | None = None) -> Pair:
    clock, service = HandClock(), Service(Fuse())
    told = [service.destination(), service.destination()]
    leader = await begin(folder, clock, told[0], windows=windows)
    standby = replica(leader.store, clock, told[1], conditions=[BLIND], leading=False)
    return Pair(leader, standby, told, service)


async def test_what_a_stand_by_told_while_it_was_cut_off_is_over_minutes_after_it_is_back(tmp_path: Path) -> None:
    one = await pair(tmp_path)
    await one.cut(5.0)
    assert len(one.incidents.open) == 1, "nobody but who hears nothing can say so"
    assert await one.minutes(3) == ["page.left_by_other"]
    assert (len(one.incidents.opened), one.incidents.open) == (1, set())
    assert await one.unsettled() == 0
    await one.leader.store.close()


async def test_a_stand_by_that_stays_cut_off_opens_no_second_incident(tmp_path: Path) -> None:
    one = await pair(tmp_path)
    one.cut_off = True
    assert await one.minutes(10) == ["page.left_by_other"]
    assert (len(one.incidents.opened), one.incidents.open) == (1, set()), "the leader sees all there is"
    one.cut_off = False
    await one.minutes(3)
    assert (len(one.incidents.opened), await one.unsettled()) == (1, 0)
    await one.leader.store.close()


async def test_what_nobody_could_be_told_meanwhile_is_told_with_its_end(tmp_path: Path) -> None:
    one = await pair(tmp_path)
    for destination in one.told:
        destination.down()
    await one.cut(5.0)
    await one.minutes(4)
    assert one.incidents.opened == []
    for destination in one.told:
        destination.up()
    await one.minutes(2)
    assert (len(one.incidents.opened), one.incidents.open) == (1, set())
    assert await one.unsettled() == 0
    await one.leader.store.close()


async def test_a_stand_by_does_not_say_that_what_the_leader_told_is_over(tmp_path: Path) -> None:
    one = await pair(tmp_path)
    one.said.append(HELD)
    await one.pass_(5.0, steps=5)
    (held,) = one.incidents.open
    await one.cut(600.0)
    assert held in one.incidents.open
    one.said.clear()
    await one.minutes(3)
    assert (len(one.incidents.opened), one.incidents.open) == (2, set())
    await one.leader.store.close()


async def test_what_a_stand_by_took_for_open_and_the_leader_had_healed_is_one_incident(
    tmp_path: Path,
) -> None:
    one = await pair(tmp_path)
    await one.leader.store.begin([drift("f1", "tightening")], [])
    one.cut_off = True
    await one.pass_(10.0)
    await one.leader.store.close_findings(["f1"], "driftd", START)
    await one.pass_(60.0, steps=6)
    one.cut_off = False
    assert len(one.incidents.open) == 2, "what it knew last"
    assert await one.minutes(3) == ["page.left_by_other"] * 2
    assert (len(one.incidents.opened), one.incidents.open) == (2, set())
    assert await one.unsettled() == 0
    await one.leader.store.close()


async def test_what_a_stand_by_left_and_the_leader_tells_as_well_is_one_incident(
    tmp_path: Path,
) -> None:
    one = await pair(tmp_path)
    await one.cut(5.0)
    one.said.append(BLIND)
    assert await one.minutes(5) == ["page.left_by_other"]
    assert len(one.incidents.open) == 1, "the leader is blind as well, and still is"
    assert await one.unsettled() == 1
    one.said.clear()
    await one.minutes(2)
    assert (len(one.incidents.opened), one.incidents.open) == (1, set())
    assert await one.unsettled() == 0
    await one.leader.store.close()


async def test_a_page_that_somebody_else_has_ended_and_is_not_over_is_told_again(tmp_path: Path) -> None:
    one = await pair(tmp_path)
    await one.leader.store.begin([drift()], [])
    await one.pass_(5.0, steps=5)
    (kept,) = await one.leader.store.unsettled_pages()
    ended = replace(page_of(kept.page), state=PageState.RESOLVED)
    await one.leader.store.tell([row_of(ended, settled=True)])
    one.incidents.take("resolve", ended.key)
    assert await one.minutes(3) == ["page.ended_elsewhere"]
    assert one.incidents.open == {ended.key}
    assert await one.unsettled() == 1
    await one.leader.store.close_findings(["f1"], "driftd", START)
    await one.minutes(2)
    assert (one.incidents.open, await one.unsettled()) == (set(), 0)
    await one.leader.store.close()


async def test_a_page_that_somebody_else_has_ended_while_it_was_about_to_end_is_not_told_again(tmp_path: Path) -> None:
    one = await pair(tmp_path, Windows(resolve=600.0))
    await one.leader.store.begin([drift()], [])
    await one.pass_(5.0, steps=5)
    await one.leader.store.close_findings(["f1"], "driftd", START)
    await one.pass_(1.0)
    (kept,) = await one.leader.store.unsettled_pages()
    await one.leader.store.tell([row_of(replace(page_of(kept.page), state=PageState.RESOLVED), settled=True)])
    one.incidents.take("resolve", kept.page.key)
    assert await one.minutes(5) == ["page.ended_elsewhere"]
    assert (len(one.incidents.opened), one.incidents.open) == (1, set())
    await one.minutes(8)
    assert (len(one.incidents.opened), await one.unsettled()) == (1, 0)
    await one.leader.store.close()


async def test_what_is_ones_own_is_nobody_elses_however_long_it_waits(tmp_path: Path) -> None:
    one = await pair(tmp_path)
    one.told[0].down()
    found: list[str] = []
    for n in range(5):
        await one.leader.store.begin([drift(f"h{n}", name=f"h{n}"), drift(f"o{n}", name=f"o{n}")], [])
        await one.leader.store.close_findings([f"h{n}"], "driftd", START)
        found += await one.minutes(3)
    one.told[0].up()
    found += await one.minutes(3)
    assert found == []
    assert (len(one.incidents.opened), len(one.incidents.open), await one.unsettled()) == (10, 5, 5)
    await one.leader.store.close()


async def test_a_term_begins_with_no_memory_of_what_was_strange_in_the_last(tmp_path: Path) -> None:
    one = await pair(tmp_path)
    await one.cut(5.0)
    await one.minutes(1)
    one.leader.pager._active = lambda: False
    await one.pass_(1.0)
    one.leader.pager._active = lambda: True
    assert await one.minutes(2) == [], "it was taken over with all the rest"
    assert (len(one.incidents.opened), one.incidents.open) == (1, set())
    await one.leader.store.close()


async def test_pages_that_nobody_can_read_keep_none_of_the_others_from_its_end(tmp_path: Path) -> None:
    """Seen: the same first five hundred were read each minute, and what came behind them had no end."""
    one = await pair(tmp_path)
    await one.cut(5.0)
    (kept,) = await one.leader.store.unsettled_pages()
    odd = [replace_row(kept.page, key=f"!{number:03}", body="{}") for number in range(600)]
    await one.leader.store.tell(odd)
    assert "page.left_by_other" in await one.minutes(5)
    assert one.incidents.open == set()
    assert await one.unsettled() == len(odd)
    await one.leader.store.close()
