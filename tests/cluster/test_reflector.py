"""List, watch, and a cure for each way they break."""
# ruff: noqa: PLR0917 (fixtures are arguments)

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from driftd.cluster import Mirror, Pace, Reflector, ReflectorSettings, Session
from driftd.drift import KindState
from driftd.values import Live, ObjectRef, Scope
from tests.support.api_server import ApiServer, answer, reset, status, stream
from tests.support.cluster import NETPOL, POLICIES, HandClock, Until, policy

QUICK = ReflectorSettings(server_timeout=(20.0, 20.0), silence=2.0, connect=1.0, page_limit=3)


def at(name: str, namespace: str = "a") -> str:
    return POLICIES.format(namespace, name)


def event(kind: str, name: str, version: int, namespace: str = "a") -> bytes:
    body = policy(namespace, name)
    body["metadata"] |= {"uid": f"u-{name}", "resourceVersion": str(version)}
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


def names(mirror: Mirror, namespace: str = "a") -> set[str]:
    return {ref.name for ref in mirror.scope(Scope(namespace))}


@asynccontextmanager
async def reflecting(session: Session, mirror: Mirror, pace: Pace, **settings: Any) -> AsyncIterator[Reflector[Live]]:
    chosen = ReflectorSettings(**{**{f: getattr(QUICK, f) for f in QUICK.__slots__}, **settings})
    reflector = Reflector(session, mirror, NETPOL, pace, chosen)
    task = asyncio.create_task(reflector.run())
    try:
        yield reflector
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_paged_list_and_then_the_watch_fill_the_mirror(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, until: Until
) -> None:
    for number in range(8):
        server.put(at(f"p{number}"), policy("a", f"p{number}"))
    async with reflecting(session, mirror, pace):
        await until(lambda: mirror.state(NETPOL) is KindState.READY)
        assert len(names(mirror)) == 8
        server.put(at("new"), policy("a", "new"))
        await until(lambda: "new" in names(mirror))
        server.remove(at("p0"))
        await until(lambda: "p0" not in names(mirror))
        changed = server.put(at("p1"), policy("a", "p1", policyTypes=["Egress"]))
        ref = ObjectRef(NETPOL.group, NETPOL.kind, "a", "p1")
        await until(lambda: mirror.get(ref).resource_version == changed["metadata"]["resourceVersion"])  # type: ignore[union-attr]
    assert sum("limit" in line for line in server.seen) == 3


async def test_a_watch_the_server_ends_goes_on_where_it_was(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, until: Until
) -> None:
    server.put(at("x"), policy("a", "x"))
    server.fail("GET", "watch", stream(event("ADDED", "y", 150)))
    async with reflecting(session, mirror, pace) as reflector:
        await until(lambda: reflector.counts.watches >= 2)
        await until(lambda: any("resourceVersion=150" in line for line in server.seen))
    assert reflector.counts.lists == 1


@pytest.mark.parametrize("in_stream", [False, True])
async def test_when_history_is_gone_a_new_list_makes_the_vanished_vanish(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, until: Until, in_stream: bool
) -> None:
    server.put(at("x"), policy("a", "x"))
    server.put(at("stays"), policy("a", "stays"))
    expired = status(410, "Expired", "too old resource version")
    async with reflecting(session, mirror, pace) as reflector:
        await until(lambda: names(mirror) == {"x", "stays"})
        server.remove(at("x"), silently=True)
        if in_stream:
            server.fail("GET", "watch", stream(json.dumps({"type": "ERROR", "object": expired}).encode() + b"\n"))
        else:
            server.compact()
        server.hang_up()
        await until(lambda: names(mirror) == {"stays"})
        assert reflector.counts.lists == 2
        assert reflector.counts.expired == 1


async def test_a_list_after_lost_history_does_not_wait_for_a_backoff_that_earlier_troubles_grew(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, clock: HandClock, until: Until
) -> None:
    server.put(at("x"), policy("a", "x"))
    for _ in range(5):
        server.fail("GET", "watch", answer(503, status(503, "ServiceUnavailable")))
    server.fail("GET", "watch", answer(410, status(410, "Expired")))
    async with reflecting(session, mirror, pace) as reflector:
        await until(lambda: reflector.counts.lists == 2 and reflector.counts.watches >= 7)
    assert len(clock.naps) >= 6
    assert min(clock.naps[:5]) > 0
    assert clock.naps[5] == 0


async def test_a_server_that_forgets_every_list_is_asked_with_growing_pauses(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, clock: HandClock, until: Until
) -> None:
    for _ in range(4):
        server.fail("GET", "watch", answer(410, status(410, "Expired")))
    async with reflecting(session, mirror, pace) as reflector:
        await until(lambda: reflector.counts.lists == 5)
    assert clock.naps[0] == 0
    assert 0 < clock.naps[1] < clock.naps[2] < clock.naps[3]


async def test_an_expired_continue_token_throws_the_partial_list_away(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, until: Until
) -> None:
    for number in range(8):
        server.put(at(f"p{number}"), policy("a", f"p{number}"))
    server.fail("GET", "continue", answer(410, status(410, "Expired")))
    heard: list[bool] = []
    mirror.subscribe(lambda _ref, _before, after: heard.append(after is None))
    async with reflecting(session, mirror, pace) as reflector:
        await until(lambda: mirror.state(NETPOL) is KindState.READY)
        assert reflector.counts.lists == 2
    assert len(names(mirror)) == 8
    assert not any(heard)


@pytest.mark.parametrize(
    "spoilt",
    [
        stream(event("ADDED", "y", 150), b'{"type":"ADDED","object":{"meta'),
        stream(event("ADDED", "y", 150), b"<html>gateway</html>\n"),
        stream(event("ADDED", "y", 150), b'{"type":"ADDED","object":{"spec":{}}}\n'),
        stream(event("ADDED", "y", 150), b'{"type":"GREETING","object":{}}\n'),
        stream(event("ADDED", "y", 150), cut=True),
        stream(event("ADDED", "y", 150), hang=True),
        stream(event("ADDED", "y", 150), b"x" * (17 * 2**20) + b"\n"),
    ],
    ids=["truncated", "no-json", "no-metadata", "unknown-type", "cut", "silent", "oversize"],
)
async def test_a_spoilt_stream_is_dropped_and_resumed_at_the_last_good_version(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, until: Until, spoilt: Any
) -> None:
    server.fail("GET", "watch", spoilt)
    async with reflecting(session, mirror, pace) as reflector:
        await until(lambda: any("resourceVersion=150" in line for line in server.seen))
        assert names(mirror) == {"y"}
        assert reflector.counts.lists == 1


async def test_an_event_that_is_spoilt_each_time_ends_in_a_new_list(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, until: Until
) -> None:
    server.fail("GET", "watch", stream(b"garbage\n"), times=2)
    async with reflecting(session, mirror, pace) as reflector:
        await until(lambda: reflector.counts.lists == 2)
        await until(lambda: reflector.counts.watches >= 3)


@pytest.mark.parametrize("fault", [answer(429, status(429, "TooManyRequests"), Retry_After="9"), reset])
async def test_a_busy_or_gone_server_is_watched_again_not_listed(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, clock: HandClock, until: Until, fault: Any
) -> None:
    server.fail("GET", "watch", fault, times=3)
    async with reflecting(session, mirror, pace) as reflector:
        await until(lambda: reflector.counts.watches >= 4)
        assert reflector.counts.lists == 1
        assert mirror.state(NETPOL) is KindState.READY
    if fault is not reset:
        assert clock.naps[0] >= 9


async def test_waits_grow_to_a_cap_and_start_over_after_two_good_minutes(pace: Pace, clock: HandClock) -> None:
    from driftd.cluster import Backoff

    backoff = Backoff(pace)
    waits = [backoff.next() for _ in range(8)]
    assert waits == sorted(waits)
    assert waits[0] == pytest.approx(1.2)
    assert waits[-1] == 30.0
    clock.time += 400
    assert backoff.next() == pytest.approx(1.2)
    assert backoff.next(at_least=50.0) == 50.0


async def test_a_forbidden_kind_is_blind_keeps_its_objects_and_sees_again(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, until: Until
) -> None:
    server.put(at("x"), policy("a", "x"))
    heard: list[KindState] = []
    mirror.subscribe_states(lambda _resource, state, _why: heard.append(state))
    server.fail("GET", "watch", answer(403, status(403, "Forbidden")), times=2)
    async with reflecting(session, mirror, pace) as reflector:
        await until(lambda: KindState.BLIND in heard)
        assert names(mirror) == {"x"}
        await until(lambda: mirror.state(NETPOL) is KindState.READY)
        assert reflector.counts.lists == 1
    assert heard == [KindState.READY, KindState.BLIND, KindState.READY]


async def test_a_kind_that_is_not_served_is_absent_and_nothing_is_deleted(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, until: Until
) -> None:
    server.put(at("x"), policy("a", "x"))
    gone: list[str] = []
    mirror.subscribe(lambda ref, _before, after: gone.append(ref.name) if after is None else None)
    async with reflecting(session, mirror, pace, absent_poll=0.01):
        await until(lambda: names(mirror) == {"x"})
        kinds, server.kinds = server.kinds, {}
        server.hang_up()
        await until(lambda: mirror.state(NETPOL) is KindState.ABSENT)
        assert names(mirror) == {"x"}
        server.kinds = kinds
        await until(lambda: mirror.state(NETPOL) is KindState.READY)
    assert gone == []


async def test_a_long_silence_of_the_server_makes_the_kind_blind(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, until: Until
) -> None:
    server.fail("GET", "watch", reset, times=10**6)
    async with reflecting(session, mirror, pace):
        await until(lambda: mirror.state(NETPOL) is KindState.READY)
        await until(lambda: mirror.state(NETPOL) is KindState.BLIND)


async def test_the_biggest_object_that_etcd_takes_is_read_however_its_characters_are_escaped(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, until: Until
) -> None:
    body = policy("a", "big")
    body["metadata"] |= {"uid": "u", "resourceVersion": "150"}
    line = json.dumps({"type": "ADDED", "object": body}).encode()
    escaped = line.replace(b'"podSelector"', b'"note": "%s", "podSelector"' % (b"\\u003c" * (1536 * 1024)))
    assert len(escaped) > 9 * 2**20
    server.fail("GET", "watch", stream(escaped + b"\n", hang=True))
    async with reflecting(session, mirror, pace) as reflector:
        await until(lambda: names(mirror) == {"big"})
        assert reflector.counts.broken == 0


async def test_a_kind_whose_watch_opens_and_fails_each_time_is_told_as_blind_until_something_good_comes(
    server: ApiServer, session: Session, mirror: Mirror, clock: HandClock, until: Until
) -> None:
    async def slept(seconds: float) -> None:  # the time that a watch has to last never comes
        await (asyncio.sleep(60) if seconds == min(QUICK.short_watch, QUICK.silence / 2) else clock.sleep(seconds))

    heard: list[KindState] = []
    mirror.subscribe_states(lambda _resource, state, _why: heard.append(state))
    fault = server.fail("GET", "watch", stream(b"garbage\n"), times=10**6)
    async with reflecting(session, mirror, Pace(clock, slept, lambda: 0.5)) as reflector:
        await until(lambda: mirror.state(NETPOL) is KindState.BLIND)
        lists = reflector.counts.lists
        await until(lambda: reflector.counts.lists >= lists + 2)  # complete lists, and still nothing can be followed
        assert heard == [KindState.READY, KindState.BLIND]
        server.faults.remove(fault)
        server.fail("GET", "watch", stream(event("ADDED", "y", 150), hang=True), times=10**6)
        await until(lambda: mirror.state(NETPOL) is KindState.READY)
    assert names(mirror) == {"y"}


async def test_a_quiet_kind_sees_again_once_its_watch_has_lasted(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, until: Until
) -> None:
    fault = server.fail("GET", "watch", reset, times=10**6)
    async with reflecting(session, mirror, pace, silence=60.0):
        await until(lambda: mirror.state(NETPOL) is KindState.BLIND)
        server.faults.remove(fault)
        await until(lambda: mirror.state(NETPOL) is KindState.READY)


async def test_a_server_behind_us_after_a_restore_is_listed_afresh(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, until: Until
) -> None:
    server.version = 900
    server.put(at("x"), policy("a", "x"))
    too_large = status(504, "Timeout", "Too large resource version: 901, current: 120")
    async with reflecting(session, mirror, pace) as reflector:
        await until(lambda: names(mirror) == {"x"})
        server.objects.clear()
        server.history.clear()
        server.version = 120
        server.put(at("y"), policy("a", "y"))
        server.fail("GET", "watch", answer(504, too_large))
        server.hang_up()
        await until(lambda: names(mirror) == {"y"})
        assert int(mirror.watermark(NETPOL)) < 900
        assert reflector.counts.lists == 3  # once more to be sure that it is history that went back


async def test_an_over_short_watch_counts_as_a_failure(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, clock: HandClock, until: Until
) -> None:
    server.fail("GET", "watch", stream(), times=3)
    async with reflecting(session, mirror, pace) as reflector:
        await until(lambda: reflector.counts.watches >= 4)
    assert len(clock.naps) >= 3
    assert reflector.counts.lists == 1


async def test_a_list_too_large_for_one_answer_is_asked_for_in_smaller_pages(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, until: Until
) -> None:
    for number in range(12):
        server.put(at(f"p{number:02}"), policy("a", f"p{number:02}", note="x" * 300))
    session.body_limit = 3000
    async with reflecting(session, mirror, pace, page_limit=12):
        await until(lambda: mirror.state(NETPOL) is KindState.READY)
    assert len(names(mirror)) == 12


async def test_pages_grow_again_behind_what_was_too_large(
    server: ApiServer, session: Session, mirror: Mirror, pace: Pace, until: Until
) -> None:
    for number in range(60):
        server.put(at(f"p{number:02}"), policy("a", f"p{number:02}", note="x" * (4000 if number < 4 else 1)))
    session.body_limit = 10_000
    async with reflecting(session, mirror, pace, page_limit=16):
        await until(lambda: mirror.state(NETPOL) is KindState.READY)
    assert len(names(mirror)) == 60
    limits = [line.partition("limit=")[2].partition("&")[0] for line in server.seen if "limit=" in line]
    assert limits[:4] == ["16", "4", "1", "1"]
    assert limits[-1] == "16"
