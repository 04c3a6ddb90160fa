"""At most one leads, each leadership has a higher epoch, and nobody works a moment longer than the lease allows."""
# ruff: noqa: PLR0917 (fixtures are arguments)

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from driftd.cluster import (
    ClusterError,
    Elector,
    EpochParameter,
    Kubeconfig,
    LeaseSettings,
    NotLeading,
    Pace,
    Session,
    Term,
    Timeouts,
    WorkOutlivedLease,
)
from tests.support.api_server import ApiServer, answer, reset, silence, status
from tests.support.cluster import FastClock, HandClock, Until, write_kubeconfig

LEASE = "/apis/coordination.k8s.io/v1/namespaces/driftd/leases/driftd"
FENCE = "/api/v1/namespaces/driftd/configmaps/driftd-fence"


class Work:
    """A leader's work that notes when it starts and stops."""

    def __init__(self) -> None:
        self.terms: list[Term] = []
        self.running = 0

    async def __call__(self, term: Term) -> None:
        self.terms.append(term)
        self.running += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.running -= 1


@pytest.fixture
def fast() -> Pace:
    clock = FastClock()
    return Pace(clock, clock.sleep, lambda: 0.5)


@pytest.fixture
async def make(server: ApiServer, fast: Pace, tmp_path: Path) -> AsyncIterator[Callable[..., Elector]]:
    config = write_kubeconfig(tmp_path / "k", server.host)
    sessions: list[Session] = []

    def build(identity: str, known: int = 0, **settings: Any) -> Elector:
        session = Session(Kubeconfig(str(config)), fast, Timeouts(1, 1, 1), pool=2)
        sessions.append(session)

        async def known_epoch() -> int:
            return known

        return Elector(session, fast, "driftd", identity, known_epoch, settings=LeaseSettings(**settings))

    yield build
    for session in sessions:
        await session.close()


@asynccontextmanager
async def running(elector: Elector, work: Callable[[Term], Awaitable[None]]) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(elector.run(work))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def annotations(server: ApiServer) -> dict[str, str]:
    found: dict[str, str] = server.objects[LEASE]["metadata"]["annotations"]
    return found


async def test_one_alone_leads_raises_the_fence_before_the_lease_and_releases_when_stopped(
    server: ApiServer, make: Callable[..., Elector], until: Until
) -> None:
    elector, work = make("one"), Work()
    async with running(elector, work):
        await until(lambda: work.running == 1)
        assert elector.state().leading
        assert elector.state().epoch == 1
        assert 0 < elector.state().remaining <= 10
        assert server.objects[FENCE]["data"] == {"epoch": "1"}
        assert annotations(server)["driftd.dev/epoch"] == "1"
    assert not elector.leading
    assert work.running == 0
    assert server.objects[LEASE]["spec"]["holderIdentity"] == ""
    writes = [line.split("?")[0].rsplit("/", 1)[-1] for line in server.seen if not line.startswith("GET")]
    assert writes[:3] == ["leases", "configmaps", "driftd"]


@pytest.mark.parametrize(("known", "lease", "fence"), [(41, 7, 3), (3, 41, 7), (7, 3, 41)])
async def test_the_epoch_is_above_all_that_anybody_remembers(
    server: ApiServer, make: Callable[..., Elector], until: Until, known: int, lease: int, fence: int
) -> None:
    meta = {"name": "driftd", "annotations": {"driftd.dev/epoch": str(lease), "driftd.dev/commit": "abc"}}
    server.put(LEASE, {"metadata": meta, "spec": {"holderIdentity": ""}})
    server.put(FENCE, {"metadata": {"name": "driftd-fence"}, "data": {"epoch": str(fence), "other": "kept"}})
    work = Work()
    async with running(make("one", known), work):
        await until(lambda: work.running == 1)
    assert work.terms == [Term(42, "abc", "", lease)]
    assert server.objects[FENCE]["data"] == {"epoch": "42", "other": "kept"}


async def test_a_term_names_the_one_before_it_whatever_became_of_tries_in_between(
    server: ApiServer, make: Callable[..., Elector], until: Until
) -> None:
    """By this a leader knows that nobody else has led since its own last term."""
    work = Work()
    for _ in range(2):
        async with running(make("one"), work):
            await until(lambda: work.running == 1)
    server.fail("PUT", "configmaps", reset, times=2)  # raised or not: no term of it was opened
    server.put(FENCE, {"metadata": {"name": "driftd-fence"}, "data": {"epoch": "7"}})
    async with running(make("two"), work):
        await until(lambda: work.running == 1)
    assert [(term.epoch_before, term.epoch) for term in work.terms] == [(0, 1), (1, 2), (2, 8)]


async def test_a_term_after_another_holder_names_none_before_it(
    server: ApiServer, make: Callable[..., Elector], until: Until
) -> None:
    """Whoever stood down for that holder has forgotten what it knew, although no other term was opened."""
    elector, work = make("one"), Work()
    async with running(elector, work):
        await until(lambda: work.running == 1)
        lease = server.objects[LEASE]
        for holder, seen in (("two", lambda: elector.holder == "two"), ("", lambda: len(work.terms) == 2)):
            server.put(LEASE, {**lease, "spec": {**lease["spec"], "holderIdentity": holder}})
            await until(seen)
    assert [(term.epoch_before, term.epoch) for term in work.terms] == [(0, 1), (0, 2)]


async def test_who_leads_can_be_known_before_one_competes(
    server: ApiServer, make: Callable[..., Elector], until: Until
) -> None:
    second, work = make("two"), Work()
    assert not second.looked
    async with running(make("one"), work):
        await until(lambda: work.running == 1)
        await second.look()
        assert (second.looked, second.holder) == (True, "one")
    third = make("three")
    server.fail("GET", "leases", answer(500, status(500, "InternalError")))
    with pytest.raises(ClusterError):
        await third.look()
    assert (third.looked, third.holder) == (False, "")


async def test_a_holder_counts_as_leading_for_a_minute_after_its_last_sign_of_life(
    server: ApiServer, make: Callable[..., Elector]
) -> None:
    """Else a holder that died, or that was read last before the API server went, silences everybody for ever."""
    clock = HandClock()
    second = make("two")
    second.pace = Pace(clock, clock.sleep, lambda: 0.5)
    assert (second.holder, second.led_by_other) == ("", False)
    lease = {"metadata": {"name": "driftd"}, "spec": {"holderIdentity": "one", "renewTime": "2026-01-01T00:00:00Z"}}
    server.put(LEASE, lease)
    await second.look()
    assert (second.holder, second.led_by_other) == ("one", True)
    clock.time += 59
    await second.look()
    assert (second.holder, second.led_by_other) == ("one", True)
    clock.time += 2
    await second.look()
    assert (second.holder, second.led_by_other) == ("one", False), "it is read, and has not renewed since"
    server.put(LEASE, lease | {"spec": {"holderIdentity": "one", "renewTime": "2026-01-01T00:01:00Z"}})
    await second.look()
    assert (second.holder, second.led_by_other) == ("one", True)
    server.fail("GET", "leases", reset, times=10**6)
    clock.time += 61
    with pytest.raises(ClusterError):
        await second.look()
    assert (second.holder, second.led_by_other) == ("one", False), "nothing can be read any more"
    server.faults.clear()
    server.put(LEASE, lease | {"spec": {"holderIdentity": "two"}})
    await second.look()
    assert (second.holder, second.led_by_other) == ("two", False)


async def test_a_second_waits_and_takes_over_when_the_first_falls_silent(
    server: ApiServer, make: Callable[..., Elector], until: Until
) -> None:
    first, second, one, two = make("one"), make("two"), Work(), Work()
    async with running(first, one):
        await until(lambda: one.running == 1)
        async with running(second, two):
            await asyncio.sleep(2.5)  # two lease durations
            assert (one.running, two.running) == (1, 0)
            server.fail("PUT", "leases", reset, times=10**6)
            await until(lambda: one.running == 0)
            assert not first.state().leading
            assert two.running == 0
            server.faults.clear()
            await until(lambda: one.running + two.running == 1)
    terms = sorted(term.epoch for term in one.terms + two.terms)
    assert terms == list(range(1, len(terms) + 1))
    assert len(terms) >= 2


async def test_a_clean_stop_hands_over_without_waiting_out_the_lease(
    make: Callable[..., Elector], until: Until
) -> None:
    one, two = Work(), Work()
    async with running(make("one"), one) as first:
        await until(lambda: one.running == 1)
        async with running(make("two"), two):
            await asyncio.sleep(0.3)
            first.cancel()
            loop = asyncio.get_running_loop()
            stopped = loop.time()
            await until(lambda: two.running == 1)
            assert loop.time() - stopped < 1.0  # 15 s are 1.25 s here


async def test_a_standby_looks_eight_times_as_often_as_a_leader_renews(
    make: Callable[..., Elector], until: Until
) -> None:
    one, two, naps = Work(), Work(), list[float]()
    async with running(make("one"), one):
        await until(lambda: one.running == 1)
        second = make("two")
        pace = second.pace

        async def sleep(seconds: float) -> None:
            naps.append(seconds)
            await pace.sleep(seconds)

        second.pace = Pace(pace.clock, sleep, pace.random)
        async with running(second, two):
            await until(lambda: len(naps) > 4)
    assert set(naps) == {2.0 / 8 * 1.1}
    assert two.running == 0


async def test_a_term_that_takes_long_to_open_is_opened_as_long_as_nobody_else_may_take_the_lease(
    make: Callable[..., Elector], until: Until
) -> None:
    elector, work, asked = make("one"), Work(), list[int]()

    async def slow() -> int:
        asked.append(1)
        await asyncio.sleep(0.95)  # 11.4 s here: longer than a renewal may take, shorter than the lease
        return 41

    elector.known_epoch = slow
    async with running(elector, work):
        await until(lambda: work.running == 1)
        assert elector.state().remaining > 0
    assert [term.epoch for term in work.terms] == [42]


def test_whoever_chooses_a_longer_lease_waits_longer_for_each_answer() -> None:
    assert LeaseSettings().answer == pytest.approx(10 / 3)
    assert LeaseSettings(duration=30, renew_deadline=21).answer == 7.0


async def test_when_the_server_hangs_leadership_ends_by_the_clock(
    server: ApiServer, make: Callable[..., Elector], until: Until
) -> None:
    elector, work = make("one"), Work()
    async with running(elector, work):
        await until(lambda: work.running == 1)
        server.fail("PUT", "leases", silence, times=10**6)
        await until(lambda: not elector.state().leading)
        await until(lambda: work.running == 0)


async def test_a_lease_taken_by_another_ends_the_work_at_once(
    server: ApiServer, make: Callable[..., Elector], until: Until
) -> None:
    elector, work = make("one"), Work()
    async with running(elector, work):
        await until(lambda: work.running == 1)
        thief = {**server.objects[LEASE], "spec": {"holderIdentity": "thief", "leaseDurationSeconds": 10**9}}
        server.put(LEASE, thief)
        await until(lambda: work.running == 0)
        assert not elector.leading
        # The thief never renews, and the absurd duration it claims does not lock anybody out.
        await until(lambda: work.running == 1)
    assert [term.epoch for term in work.terms] == [1, 2]


async def test_a_deleted_lease_ends_the_term_and_the_next_has_a_higher_epoch(
    server: ApiServer, make: Callable[..., Elector], until: Until
) -> None:
    work = Work()
    async with running(make("one"), work):
        await until(lambda: work.running == 1)
        server.remove(LEASE)
        await until(lambda: len(work.terms) == 2)
    assert [term.epoch for term in work.terms] == [1, 2]


async def test_an_edit_of_the_lease_by_somebody_does_not_cost_the_leadership(
    server: ApiServer, make: Callable[..., Elector], until: Until
) -> None:
    elector, work = make("one"), Work()
    async with running(elector, work):
        await until(lambda: work.running == 1)
        for _ in range(5):
            lease = server.objects[LEASE]
            lease["metadata"]["labels"] = {"touched": "yes"}
            server.put(LEASE, lease)
            await asyncio.sleep(0.25)
        assert len(work.terms) == 1
        assert elector.leading
        assert server.objects[LEASE]["metadata"]["labels"] == {"touched": "yes"}


async def test_the_commit_is_in_the_lease_when_publish_returns(
    server: ApiServer, make: Callable[..., Elector], until: Until
) -> None:
    elector, work = make("one"), Work()
    with pytest.raises(NotLeading):
        await elector.publish(commit="abc")
    async with running(elector, work):
        await until(lambda: work.running == 1)
        await elector.publish(commit="abc")
        assert annotations(server)["driftd.dev/commit"] == "abc"
        await elector.publish(chain_head="ff")
        assert annotations(server)["driftd.dev/commit"] == "abc"
        assert annotations(server)["driftd.dev/chain-head"] == "ff"


async def test_a_publication_that_loses_the_lease_fails(
    server: ApiServer, make: Callable[..., Elector], until: Until
) -> None:
    elector, work = make("one"), Work()
    async with running(elector, work):
        await until(lambda: work.running == 1)
        server.fail("PUT", "leases", answer(500, status(500, "InternalError")), times=10**6)
        with pytest.raises(NotLeading):
            await elector.publish(commit="abc")


async def test_work_that_was_publishing_when_the_lease_was_lost_is_no_fault(
    server: ApiServer, make: Callable[..., Elector], until: Until
) -> None:
    elector, ended, heard = make("one"), asyncio.Event(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.append(context))

    async def publish() -> None:
        while True:
            await elector.publish(commit="abc")

    async def work(_term: Term) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(publish())
        finally:
            ended.set()

    with capture_logs() as logs:
        async with running(elector, work):
            await until(lambda: elector.leading)
            server.fail("PUT", "leases", answer(500, status(500, "InternalError")), times=10**6)
            await asyncio.wait_for(ended.wait(), 15)
        gc.collect()
    assert heard == []
    assert "cluster.lease.work_failed" not in {entry["event"] for entry in logs}


async def test_work_that_does_not_end_with_the_lease_is_fatal(
    server: ApiServer, make: Callable[..., Elector], until: Until
) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def stubborn(_term: Term) -> None:
        started.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    elector = make("one", stop=0.05)
    task = asyncio.create_task(elector.run(stubborn))
    await started.wait()
    server.remove(LEASE)
    with pytest.raises(WorkOutlivedLease):
        await task
    assert not elector.leading
    release.set()
    await asyncio.sleep(0)


async def test_a_failure_of_the_work_is_raised_after_the_lease_is_given_back(
    server: ApiServer, make: Callable[..., Elector]
) -> None:
    async def broken(_term: Term) -> None:
        raise LookupError("bug")

    with pytest.raises(LookupError, match="bug"):
        await make("one").run(broken)
    assert server.objects[LEASE]["spec"]["holderIdentity"] == ""


async def test_a_fence_without_a_number_is_given_one_again(server: ApiServer, session: Session) -> None:
    server.put(FENCE, {"metadata": {"name": "driftd-fence"}, "data": {"epoch": "many"}})
    parameter = EpochParameter(session, "driftd")
    assert await parameter.raise_to(7) == 7
    assert await parameter.raise_to(5) == 7
    assert server.objects[FENCE]["data"] == {"epoch": "7"}


async def test_a_new_term_is_above_a_fence_that_already_names_the_number_it_would_have_taken(
    server: ApiServer, session: Session
) -> None:
    server.put(FENCE, {"metadata": {"name": "driftd-fence"}, "data": {"epoch": "8"}})
    parameter = EpochParameter(session, "driftd")
    assert await parameter.raise_above(7) == 9
    assert await parameter.raise_above(11) == 12
    assert server.objects[FENCE]["data"] == {"epoch": "12"}


async def test_a_leader_gives_a_fence_that_was_taken_away_its_epoch_again(
    server: ApiServer, make: Callable[..., Elector], until: Until
) -> None:
    elector, work = make("one"), Work()
    async with running(elector, work):
        await until(lambda: work.running == 1)
        del server.objects[FENCE]
        await until(lambda: FENCE in server.objects)
        assert server.objects[FENCE]["data"] == {"epoch": str(elector.epoch)}
        assert len(work.terms) == 1


async def test_a_leader_whose_fence_names_a_higher_epoch_gives_up_its_term(
    server: ApiServer, make: Callable[..., Elector], until: Until
) -> None:
    elector, work = make("one"), Work()
    async with running(elector, work):
        await until(lambda: work.running == 1)
        server.put(FENCE, {"metadata": {"name": "driftd-fence"}, "data": {"epoch": "70"}})
        await until(lambda: len(work.terms) == 2)
        assert work.terms[1].epoch == 71


@pytest.mark.parametrize("wrong", [{"duration": 10.0}, {"retry": 9.0}, {"renew_deadline": 20.0}])
def test_settings_that_leave_no_room_for_skew_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="renew deadline"):
        LeaseSettings(**wrong)


async def test_a_lease_read_older_than_it_was_tells_that_history_went_back(
    server: ApiServer, make: Callable[..., Elector], until: Until
) -> None:
    elector, work, heard = make("one"), Work(), list[int]()
    elector.went_back = lambda: heard.append(1)
    async with running(elector, work):
        await until(lambda: work.running == 1)
        assert not heard
        lease = server.objects[LEASE]
        lease["metadata"]["resourceVersion"] = "1"  # as etcd has it after it was put back from a backup
        await until(lambda: bool(heard))
        await until(lambda: elector.leading)
