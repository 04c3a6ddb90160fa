"""Pauses: bounded, remembered, audited, and over by themselves whatever the clocks do."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.engine import LONGEST, NotPaused, Pause, PausedTooMuch, Pauses, PauseTooLong
from driftd.engine.pauses import DAY, MOST_OF_A_DAY, Span, fits, left_of_the_day, remaining
from driftd.store import Store
from driftd.telemetry import Metrics

START = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Clock:
    """Both clocks, moved by hand and apart."""

    def __init__(self) -> None:
        self.wall = START
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def passes(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds


class Scene:
    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock = store, clock
        self.changed: list[str] = []
        self.metrics = Metrics()
        self.pauses = Pauses(store=store, clock=clock, metrics=self.metrics, changed=self.changed.append)

    async def begin(self, minutes: float = 30, namespace: str = "acme") -> Pause:
        return await self.pauses.begin(namespace, timedelta(minutes=minutes), "alice", "INC-1")

    def restarted(self) -> "Scene":
        return Scene(self.store, self.clock)

    async def audited(self) -> list[tuple[str, str]]:
        return [(row.kind, row.subject) for row in await self.store.audit() if row.kind.startswith("pause")]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = Clock()
    store = await Store.open(tmp_path / "driftd.sqlite", clock, tmp_path / "journal")
    yield Scene(store, clock)
    await store.close()


async def ended(scene: Scene) -> None:
    """Let the loop that ends pauses look once."""
    running = asyncio.create_task(scene.pauses.run())
    async with asyncio.timeout(10):
        while scene.changed != ["acme", "acme"]:
            await asyncio.sleep(0.05)
    running.cancel()


async def test_a_pause_holds_for_its_time_and_is_told(scene: Scene) -> None:
    pause = await scene.begin(30)
    assert scene.pauses.of("acme") == pause
    assert scene.pauses.of("globex") is None
    assert scene.pauses.all() == (pause,)
    assert scene.changed == ["acme"]
    assert "driftd_paused_namespaces 1.0" in scene.metrics.exposition()[0].decode()
    scene.clock.passes(29 * 60)
    assert scene.pauses.of("acme") == pause
    scene.clock.passes(61)
    assert scene.pauses.of("acme") is None
    assert scene.pauses.all() == ()


async def test_a_pause_ends_by_itself_and_that_is_audited(scene: Scene) -> None:
    await scene.begin(1)
    scene.clock.passes(60)
    await ended(scene)
    assert await scene.audited() == [("pause.begun", "acme"), ("pause.ended", "acme")]
    assert await scene.store.recall_all("paused/") == {}


async def test_a_pause_outlives_a_restart_and_its_time_goes_on_meanwhile(scene: Scene) -> None:
    pause = await scene.begin(30)
    scene.clock.passes(20 * 60)
    again = scene.restarted()
    await again.pauses.load()
    assert again.pauses.of("acme") == pause
    scene.clock.passes(10 * 60)
    assert again.pauses.of("acme") is None


async def test_a_pause_can_be_ended_early_and_only_once(scene: Scene) -> None:
    await scene.begin()
    await scene.pauses.end("acme", "bob")
    assert scene.pauses.of("acme") is None
    with pytest.raises(NotPaused, match="acme is not paused"):
        await scene.pauses.end("acme", "bob")


@pytest.mark.parametrize("length", [timedelta(0), timedelta(seconds=-1), LONGEST + timedelta(seconds=1)])
async def test_a_pause_of_no_time_or_too_much_is_refused(scene: Scene, length: timedelta) -> None:
    with pytest.raises(PauseTooLong, match="at most 4 h"):
        await scene.pauses.begin("acme", length, "alice", "INC-1")
    assert await scene.audited() == []


async def test_a_wall_clock_set_back_prolongs_no_pause(scene: Scene) -> None:
    await scene.begin(30)
    scene.clock.wall -= timedelta(hours=1)
    scene.clock.passes(30 * 60)
    assert scene.pauses.of("acme") is None


async def test_a_wall_clock_set_forward_ends_a_pause(scene: Scene) -> None:
    await scene.begin(30)
    scene.clock.wall += timedelta(hours=1)
    assert scene.pauses.of("acme") is None


async def test_what_is_remembered_and_cannot_be_read_pauses_nothing(scene: Scene) -> None:
    await scene.store.remember("paused/acme", '{"namespace": "acme"}')
    await scene.pauses.load()
    assert scene.pauses.all() == ()


async def test_renewing_without_end_is_refused_and_the_next_day_is_another(scene: Scene) -> None:
    for _ in range(7):  # renewed each hour, for two: one is cut short when the next takes its place
        await scene.begin(120)
        scene.clock.passes(3600)
    with pytest.raises(PausedTooMuch, match=r"acme may be paused for 8 h of any 24 h, and for 60 min now"):
        await scene.begin(120)
    assert scene.pauses.of("acme") is not None, "what holds is not ended by the refusal"
    await scene.begin(60)
    assert len(await scene.audited()) == 8
    await scene.begin(120, "globex")
    again = scene.restarted()
    with pytest.raises(PausedTooMuch):
        await again.begin(120)
    scene.clock.passes(20 * 3600)
    await again.begin(60)
    assert again.pauses.of("acme") is not None


async def test_only_the_time_that_was_paused_counts(scene: Scene) -> None:
    for _ in range(20):
        await scene.begin(240)
        scene.clock.passes(60)
        await scene.pauses.end("acme", "alice")
    await scene.begin(240)
    assert scene.pauses.of("acme") is not None


async def test_pauses_without_number_are_refused(scene: Scene) -> None:
    for _ in range(50):
        await scene.begin(1)
        scene.clock.passes(61)
    with pytest.raises(PausedTooMuch, match="0 min now"):
        await scene.begin(1)


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(1, 240)), max_size=20))
def test_no_day_holds_more_pauses_than_one_day_may(wishes: list[tuple[int, int]]) -> None:
    now, spans = START, list[Span]()
    for pause, length in wishes:
        now += timedelta(minutes=pause)
        if fits(spans, now, timedelta(minutes=length)):
            spans.append(Span(now, now + timedelta(minutes=length)))
            now += timedelta(minutes=length)
    edges = [edge for one in spans for edge in (one.begun, one.until)]
    for begins in [*edges, *(edge - DAY for edge in edges)]:
        ends = begins + DAY
        held = [min(one.until, ends) - max(one.begun, begins) for one in spans]
        assert sum((one for one in held if one > timedelta(0)), timedelta(0)) <= MOST_OF_A_DAY
    left = left_of_the_day(spans, now)
    assert not left or fits(spans, now, left)
    assert left == LONGEST or not fits(spans, now, left + timedelta(minutes=1))


@given(
    st.timedeltas(timedelta(seconds=-10), timedelta(hours=9)),
    st.timedeltas(timedelta(hours=-30), timedelta(hours=30)),
)
def test_what_remains_is_never_longer_than_asked_nor_than_the_longest(length: timedelta, since: timedelta) -> None:
    left = remaining(Pause("acme", START, START + length, "alice", ""), START + since)
    assert timedelta(0) <= left <= max(timedelta(0), min(length, LONGEST))
    assert since < timedelta(0) or left <= max(timedelta(0), length - since)


@given(
    st.integers(1, 14400),
    st.lists(st.tuples(st.integers(0, 7200), st.integers(-7200, 7200)), max_size=8),
)
def test_no_jump_of_a_clock_makes_a_pause_longer(seconds: int, steps: list[tuple[int, int]]) -> None:
    clock = Clock()
    pauses = Pauses(store=None, clock=clock, metrics=Metrics(), changed=lambda _: None)  # type: ignore[arg-type]
    pauses._hold(Pause("acme", START, START + timedelta(seconds=seconds), "alice", ""))
    passed = 0
    for time, jump in steps:
        clock.passes(time)
        clock.wall += timedelta(seconds=jump)
        passed += time
        if passed >= seconds:
            assert pauses.of("acme") is None
