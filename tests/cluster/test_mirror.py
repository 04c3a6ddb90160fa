"""The mirror holds what the server last told, says how far to believe it, and never goes back in time."""

import asyncio
import gc
import hashlib
import tracemalloc
import uuid
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.cluster import KindNotWatched, Mirror, Pace
from driftd.drift import KindState
from driftd.values import Body, Digest, Live, ObjectRef, Resource, Scope
from tests.support.cluster import NAMESPACE, NETPOL, HandClock, policy, spec_digest


def told(mirror: Mirror, namespace: str, name: str, version: int, uid: str = "", **spec: object) -> Live:
    body = policy(namespace, name, **spec)
    body["metadata"] |= {"uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return mirror.reader(NETPOL).live(orjson.dumps(body))


@pytest.fixture
def watched(mirror: Mirror) -> Mirror:
    mirror.watch(NETPOL)
    return mirror


def test_an_object_keeps_unknown_fields_and_odd_numbers_but_no_managed_fields(watched: Mirror) -> None:
    data = (
        b'{"metadata":{"name":"p","namespace":"a","uid":"u","resourceVersion":"5","managedFields":'
        b'[{"manager":"b","operation":"Update","time":"2026-01-02T00:00:00Z"},'
        b'{"manager":"a","operation":"Apply","time":"2026-01-01T00:00:00Z"}],"later":1},'
        b'"spec":{"future":123456789012345678901234567890}}'
    )
    reader = watched.reader(NETPOL)
    with pytest.raises(ValueError):  # what a decoder that makes numbers of it would do
        orjson.loads(data.replace(b"}}", b"}"))
    live = reader.live(data.replace(b"123456789012345678901234567890", b"1.50"))
    assert live.raw == (
        b'{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"p","namespace":"a","uid":"u",'
        b'"resourceVersion":"5","later":1},"spec":{"future":1.50}}'
    )
    assert [manager.name for manager in live.managers] == ["a", "b"]
    assert live.ref == ObjectRef("networking.k8s.io", "NetworkPolicy", "a", "p")
    assert not live.terminating


@pytest.mark.parametrize(("more", "finalized"), [(b"", False), (b',"finalizers":["x/y"]', True)])
def test_an_object_says_whether_it_names_finalizers(watched: Mirror, more: bytes, finalized: bool) -> None:
    data = b'{"metadata":{"name":"finalizers","namespace":"a","uid":"u","resourceVersion":"5"%b},"spec":{}}' % more
    assert watched.reader(NETPOL).live(data).finalized is finalized


def test_an_object_the_digest_cannot_read_stays_visible_and_equals_nothing(pace: Pace) -> None:
    def picky(_resource: Resource, _body: Body) -> Digest:
        raise ValueError("malformed")

    mirror = Mirror(picky, pace)
    mirror.watch(NETPOL)
    one, two = told(mirror, "a", "one", 1), told(mirror, "a", "two", 1)
    assert one.digest != two.digest
    assert len(one.digest) == 16


def test_a_list_makes_the_missing_vanish_and_tells_the_subscribers(watched: Mirror) -> None:
    heard: list[tuple[str, bool, bool]] = []
    watched.subscribe(lambda ref, before, after: heard.append((ref.name, before is not None, after is not None)))
    watched.replace_all(NETPOL, [told(watched, "a", "x", 1), told(watched, "a", "y", 2)], "5")
    watched.replace_all(NETPOL, [told(watched, "a", "y", 2)], "9")
    assert heard == [("x", False, True), ("y", False, True), ("x", True, False)]
    assert [ref.name for ref in watched.scope(Scope("a"))] == ["y"]


def test_what_is_left_out_is_told_as_neither_known_before_nor_now_and_of_a_list_by_its_namespace(pace: Pace) -> None:
    mirror = Mirror(spec_digest, pace, 2000, lambda ref: ref.name == "spare")
    mirror.watch(NETPOL)
    heard: list[tuple[str, str, bool, bool]] = []
    mirror.subscribe(
        lambda ref, before, after: heard.append((ref.namespace, ref.name, before is not None, after is not None))
    )
    spare = told(mirror, "a", "spare", 2, x="y" * 3000)
    mirror.apply(NETPOL, told(mirror, "a", "one", 1))
    mirror.apply(NETPOL, spare)
    assert heard == [("a", "one", False, True), ("a", "spare", False, False)]
    heard.clear()
    listing = mirror.listing(NETPOL)
    mirror.replace_all(NETPOL, [listing.live(spare.raw), told(mirror, "a", "one", 1)], "5")
    assert heard == [("a", "", False, False)]
    assert mirror.left_out() == {(NETPOL, "a")}


def test_an_object_that_the_server_shows_otherwise_at_the_same_version_is_taken_as_it_shows_it_now(
    watched: Mirror,
) -> None:
    """A CRD that learns a default fills it in when it reads; nothing is stored, so the version stays."""
    heard: list[str] = []
    watched.replace_all(NETPOL, [told(watched, "a", "x", 1), told(watched, "a", "y", 2)], "5")
    watched.subscribe(lambda ref, _before, _after: heard.append(ref.name))
    filled = told(watched, "a", "x", 1, assumed="yes")
    watched.replace_all(NETPOL, [filled, told(watched, "a", "y", 2)], "9")
    assert heard == ["x"]
    assert watched.get(filled.ref) == filled
    assert watched.correct(told(watched, "a", "x", 1)), "and back, when the CRD forgets it"
    assert not watched.correct(replace(filled, kept=told(watched, "a", "x", 1).kept)), "a digest of another coverage"


def test_an_answer_to_our_own_write_outlives_a_list_that_is_older(watched: Mirror) -> None:
    watched.replace_all(NETPOL, [], "5")
    mine = told(watched, "a", "x", 8)
    assert watched.absorb(mine)
    watched.replace_all(NETPOL, [], "7")
    assert watched.get(mine.ref) is not None
    watched.replace_all(NETPOL, [], "8")
    assert watched.get(mine.ref) is None


def test_an_answer_that_the_watch_has_passed_does_not_bring_a_deleted_object_back(watched: Mirror) -> None:
    watched.replace_all(NETPOL, [], "5")
    stale = told(watched, "a", "x", 4)
    assert not watched.absorb(stale)
    assert watched.get(stale.ref) is None


def test_an_event_older_than_what_we_know_changes_nothing(watched: Mirror) -> None:
    watched.replace_all(NETPOL, [told(watched, "a", "x", 7, policyTypes=["Egress"])], "7")
    watched.apply(NETPOL, told(watched, "a", "x", 6))
    assert watched.get(ObjectRef(NETPOL.group, NETPOL.kind, "a", "x")).resource_version == "7"  # type: ignore[union-attr]


def test_a_deletion_of_an_old_object_leaves_its_successor_of_the_same_name(watched: Mirror) -> None:
    watched.replace_all(NETPOL, [told(watched, "a", "x", 9, uid="new")], "9")
    watched.vanish(NETPOL, told(watched, "a", "x", 8, uid="old"))
    assert watched.get(ObjectRef(NETPOL.group, NETPOL.kind, "a", "x")) is not None


def test_events_told_before_a_proved_deletion_do_not_bring_the_object_back(watched: Mirror) -> None:
    live = told(watched, "a", "x", 5)
    watched.replace_all(NETPOL, [live], "5")
    watched.bury(live.ref, live.uid)
    watched.apply(NETPOL, told(watched, "a", "x", 6))
    assert watched.get(live.ref) is None
    watched.vanish(NETPOL, told(watched, "a", "x", 7))
    watched.apply(NETPOL, told(watched, "a", "x", 8, uid="again"))
    assert watched.get(live.ref) is not None


def test_what_is_told_late_of_an_object_that_is_gone_changes_nothing(watched: Mirror) -> None:
    live = told(watched, "a", "x", 5)
    watched.replace_all(NETPOL, [live], "5")
    watched.vanish(NETPOL, told(watched, "a", "x", 6))
    assert not watched.correct(live)
    assert not watched.absorb(told(watched, "a", "x", 9))
    assert watched.get(live.ref) is None


def test_an_object_the_watch_failed_to_tell_is_believed_when_a_get_shows_it(watched: Mirror) -> None:
    watched.replace_all(NETPOL, [], "50")
    missed = told(watched, "a", "x", 5)
    assert not watched.absorb(missed)
    assert watched.correct(missed)
    assert watched.get(missed.ref) is not None


async def test_a_rebase_in_slices_ends_with_all_digests_new_also_of_what_changed_meanwhile(watched: Mirror) -> None:
    watched.replace_all(NETPOL, [told(watched, "a", f"p{number}", number + 1) for number in range(60)], "60")

    def other(_resource: Resource, body: Body) -> Digest:
        return Digest(hashlib.blake2b(orjson.dumps(body), digest_size=16).digest())

    rebasing = asyncio.create_task(watched.rebase_in_slices(other))
    await asyncio.sleep(0)
    watched.apply(NETPOL, told(watched, "a", "p0", 99, policyTypes=["Egress"]))
    await rebasing
    assert all(live.digest == other(NETPOL, live.body()) for live in watched.scope(Scope("a")).values())


async def test_a_rebase_of_some_kinds_leaves_the_digests_of_the_others(watched: Mirror) -> None:
    watched.replace_all(NETPOL, [told(watched, "a", "x", 1)], "1")
    before = [live.digest for live in watched.of_kind(NETPOL).values()]
    assert await watched.rebase_in_slices(lambda _resource, _body: Digest(b"new"), []) == 0
    assert [live.digest for live in watched.of_kind(NETPOL).values()] == before
    assert await watched.rebase_in_slices(lambda _resource, _body: Digest(b"new"), [NETPOL]) == 1
    assert [live.digest for live in watched.of_kind(NETPOL).values()] == [b"new"]


def test_when_history_went_back_the_list_wins(watched: Mirror) -> None:
    watched.replace_all(NETPOL, [told(watched, "a", "x", 90), told(watched, "a", "new", 95)], "95")
    watched.replace_all(NETPOL, [told(watched, "a", "x", 40)], "50", rewound=True)
    assert watched.watermark(NETPOL) == "50"
    assert [live.resource_version for live in watched.scope(Scope("a")).values()] == ["40"]


def test_a_blind_kind_keeps_its_objects_and_says_why(watched: Mirror) -> None:
    watched.replace_all(NETPOL, [told(watched, "a", "x", 1)], "1")
    heard: list[KindState] = []
    watched.subscribe_states(lambda _resource, state, _why: heard.append(state))
    watched.mark(NETPOL, KindState.BLIND, "403")
    assert watched.states()[NETPOL] == (KindState.BLIND, "403")
    assert len(watched.scope(Scope("a"))) == 1
    assert heard == [KindState.BLIND]


def test_a_kind_nobody_watches_is_absent_and_its_objects_have_no_resource(mirror: Mirror) -> None:
    assert mirror.state(NETPOL) is KindState.ABSENT
    with pytest.raises(KindNotWatched):
        mirror.resource_of(ObjectRef("x", "Y", "", "z"))


def test_a_namespace_object_belongs_to_the_scope_of_its_name(mirror: Mirror) -> None:
    mirror.watch(NAMESPACE)
    data = b'{"metadata":{"name":"acme","uid":"u","resourceVersion":"1"}}'
    mirror.replace_all(NAMESPACE, [mirror.reader(NAMESPACE).live(data)], "1")
    assert mirror.scopes() == {Scope("acme")}


async def test_rebase_digests_again_and_tells_only_of_what_is_new(watched: Mirror) -> None:
    watched.replace_all(NETPOL, [told(watched, "a", "x", 1), told(watched, "a", "y", 1)], "1")
    heard: list[str] = []
    watched.subscribe(lambda ref, _before, _after: heard.append(ref.name))

    def other(resource: Resource, body: Body) -> Digest:
        if body["metadata"]["name"] == "x":
            return Digest(hashlib.blake2b(b"else", digest_size=16).digest())
        return spec_digest(resource, body)

    assert await watched.rebase_in_slices(other) == 1
    assert heard == ["x"]


async def test_waiting_for_our_own_write_ends_with_the_event_that_passes_it(watched: Mirror) -> None:
    ref = ObjectRef(NETPOL.group, NETPOL.kind, "a", "x")
    watched.replace_all(NETPOL, [], "5")
    waiting = asyncio.create_task(watched.seen(ref, "9", 5.0))
    await asyncio.sleep(0)
    watched.bookmark(NETPOL, "8")
    await asyncio.sleep(0)
    assert not waiting.done()
    watched.bookmark(NETPOL, "12")
    assert await waiting


async def test_waiting_for_a_write_that_never_shows_ends_in_time(watched: Mirror) -> None:
    watched.replace_all(NETPOL, [], "5")
    assert not await watched.seen(ObjectRef(NETPOL.group, NETPOL.kind, "a", "x"), "9", 0.02)


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.integers(1, 30), st.booleans()), max_size=30))
def test_in_any_order_of_arrival_the_newest_version_stands(steps: list[tuple[str, int, bool]]) -> None:
    clock = HandClock()
    mirror = Mirror(spec_digest, Pace(clock, clock.sleep, lambda: 0.5))
    mirror.watch(NETPOL)
    newest: dict[str, int] = {}
    for name, version, absorbed in steps:
        live = told(mirror, "a", name, version)
        if absorbed and name in newest:
            mirror.absorb(live)
        else:
            mirror.apply(NETPOL, live)
            newest.setdefault(name, version)
        newest[name] = max(newest[name], version)
    assert {ref.name: int(live.resource_version) for ref, live in mirror.scope(Scope("a")).items()} == newest


def test_an_object_of_1_kb_costs_less_than_two_and_a_half(pace: Pace) -> None:
    count, rules = 1000, [{"ports": [{"port": number, "protocol": "TCP"}]} for number in range(18)]
    items = []
    for number in range(count):
        body = policy(f"tenant-{number % 50}", f"policy-{number}", ingress=rules)
        body["metadata"] |= {
            "uid": str(uuid.UUID(int=number)),
            "resourceVersion": str(10_000_000 + number),
            "managedFields": [
                {"manager": "driftd", "operation": "Update", "time": f"2026-01-01T00:{number % 60:02}:00Z"},
                {"manager": "kubectl", "operation": "Update", "time": f"2026-01-02T00:{number % 60:02}:00Z"},
            ],
        }
        items.append(orjson.dumps(body))
    each = min(_bytes_each(pace, items) for _ in range(3))  # what other tests left running allocates as well
    assert each < 2500, each


def test_of_thousands_of_writers_of_one_object_the_latest_are_kept(pace: Pace) -> None:
    """Each apply under a name of its own makes one more, which the server keeps and no budget of bytes counted."""
    body = policy("a", "p")
    fields = [
        {"manager": f"m{n:04}", "operation": "Apply", "time": f"2026-01-01T00:00:{n % 60:02}Z"} for n in range(5000)
    ]
    fields[17] |= {"time": "2026-02-01T00:00:00Z"}
    body["metadata"] |= {"uid": "u", "resourceVersion": "1", "managedFields": fields}
    mirror = Mirror(spec_digest, pace)
    mirror.watch(NETPOL)
    live = mirror.reader(NETPOL).live(orjson.dumps(body))
    assert (len(live.managers), live.earlier_managers) == (32, 5000 - 32)
    assert live.managers[-1].name == "m0017"
    body["metadata"]["managedFields"] = fields[:32]
    assert mirror.reader(NETPOL).live(orjson.dumps(body)).earlier_managers == 0


def _bytes_each(pace: Pace, items: list[bytes]) -> float:
    mirror = Mirror(spec_digest, pace)
    mirror.watch(NETPOL)
    gc.collect()
    tracemalloc.start()
    reader = mirror.reader(NETPOL)
    mirror.replace_all(NETPOL, [reader.live(item) for item in items], "20000000")
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = len(next(iter(mirror.of_kind(NETPOL).values())).raw)
    assert 900 < size < 1100
    return used / len(items)
