"""The dirty-scope queue: fair, absorbing, never losing a mark."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from driftd.engine.dirty import URGENT_IN_A_ROW, DirtyScopes
from driftd.values import Scope


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def tenant_of(scope: Scope) -> str:
    return scope.namespace.split("-")[0]


def queue() -> tuple[DirtyScopes, Seconds]:
    seconds = Seconds()
    return DirtyScopes(tenant_of, seconds), seconds


async def drain(dirty: DirtyScopes) -> list[str]:
    order = []
    while len(dirty):
        ticket = await dirty.take()
        order.append(ticket.scope.namespace)
        dirty.done(ticket.scope)
    return order


async def test_a_noisy_tenant_delays_another_by_one_scope_only() -> None:
    dirty, _ = queue()
    for number in range(100):
        dirty.mark(Scope(f"noisy-{number}"), "event")
    dirty.mark(Scope("quiet-0"), "event")
    assert (await drain(dirty)).index("quiet-0") <= 1


async def test_urgent_marks_go_before_routine_ones() -> None:
    dirty, _ = queue()
    dirty.mark(Scope("a-1"), "start", urgent=False)
    dirty.mark(Scope("b-1"), "start", urgent=False)
    dirty.mark(Scope("c-1"), "event")
    assert (await drain(dirty))[0] == "c-1"


async def test_urgent_marks_without_end_do_not_keep_a_routine_one_from_its_turn() -> None:
    dirty, _ = queue()
    dirty.mark(Scope("quiet-0"), "audit", urgent=False)
    dirty.mark(Scope("quiet-1"), "audit", urgent=False)
    taken = []
    for number in range(2 * URGENT_IN_A_ROW + 2):
        dirty.mark(Scope(f"noisy-{number}"), "event")
        taken.append((await dirty.take()).scope)
        dirty.done(taken[-1])
    assert taken.index(Scope("quiet-0")) == URGENT_IN_A_ROW
    assert taken.index(Scope("quiet-1")) == 2 * URGENT_IN_A_ROW + 1


async def test_a_routine_mark_is_lifted_by_an_urgent_one_and_keeps_its_age() -> None:
    dirty, seconds = queue()
    dirty.mark(Scope("a-1"), "start", urgent=False)
    dirty.mark(Scope("a-0"), "start", urgent=False)
    seconds.now = 5.0
    dirty.mark(Scope("a-0"), "event")
    ticket = await dirty.take()
    assert (ticket.scope.namespace, ticket.since) == ("a-0", 0.0)


async def test_a_mark_during_judging_brings_the_scope_back_once() -> None:
    dirty, _ = queue()
    dirty.mark(Scope("a-0"), "event")
    ticket = await dirty.take()
    dirty.mark(Scope("a-0"), "event")
    dirty.mark(Scope("a-0"), "event")
    assert len(dirty) == 0
    dirty.done(ticket.scope)
    assert await drain(dirty) == ["a-0"]


async def test_take_waits_for_a_mark_made_later() -> None:
    dirty, _ = queue()
    taking = asyncio.create_task(dirty.take())
    await asyncio.sleep(0)
    dirty.mark(Scope("a-0"), "event")
    async with asyncio.timeout(1):
        assert (await taking).scope == Scope("a-0")


async def test_a_mark_for_later_comes_due_by_the_injected_clock() -> None:
    dirty, seconds = queue()
    dirty.mark_later(Scope("a-0"), "retry", 30.0)
    assert len(dirty) == 0
    seconds.now = 30.0
    async with asyncio.timeout(1):
        assert (await dirty.take()).trigger == "retry"


async def test_of_several_pauses_of_a_scope_the_earliest_counts_and_only_once() -> None:
    dirty, seconds = queue()
    for pause in (30.0, 10.0, 20.0, 300.0):
        dirty.mark_later(Scope("a-0"), "retry", pause)
    seconds.now = 10.0
    async with asyncio.timeout(1):
        dirty.done((await dirty.take()).scope)
    seconds.now = 1000.0
    dirty.mark(Scope("b-0"), "event")
    assert await drain(dirty) == ["b-0"]
    assert dirty.idle


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans()), max_size=40))
def test_every_marked_scope_is_given_out_exactly_once(marks: list[tuple[str, int, bool]]) -> None:
    async def run() -> None:
        dirty, _ = queue()
        for tenant, number, urgent in marks:
            dirty.mark(Scope(f"{tenant}-{number}"), "event", urgent=urgent)
        order = await drain(dirty)
        assert sorted(order) == sorted({f"{tenant}-{number}" for tenant, number, _ in marks})
        assert dirty.idle

    asyncio.run(run())
