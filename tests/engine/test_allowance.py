"""What is held for one tenant, in number and bytes, leaves every other tenant its own."""

import asyncio

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.compile import Compiled
from driftd.drift import Backings, Difference, LiveSlice
from driftd.drift.findings import Teller
from driftd.drift.meaning import UNJUDGED
from driftd.engine import Meaning
from driftd.engine.allowance import MOST_BYTES, MOST_HELD, Allowance
from driftd.values import Digest, Direction, Finding, FindingType, Live, ObjectRef, Scope
from tests.support.stage import MODELS, ROOT, compiled_models

COMPILED = compiled_models(MODELS)
HEAVY = 120 * 1024


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("ab"), st.integers(0, 9), st.integers(0, MOST_BYTES))))
def test_an_owner_never_holds_more_than_its_own_and_gets_all_of_it_back(
    steps: list[tuple[bool, str, int, int]],
) -> None:
    allowance: Allowance[tuple[str, int]] = Allowance()
    held: dict[tuple[str, int], int] = {}
    for takes, owner, number, size in steps:
        key = (owner, number)
        held.pop(key, None)
        if not takes:
            allowance.release(key)
            continue
        used = sum(had for (whose, _), had in held.items() if whose == owner)
        assert allowance.take(owner, key, size) == (used + size <= MOST_BYTES)
        if key in allowance:
            held[key] = size
    for key in held:
        allowance.release(key)
    assert allowance.take("a", ("a", 0), MOST_BYTES)
    assert allowance.take("b", ("b", 0), MOST_BYTES)


def test_there_is_room_for_so_many_of_one_owner_and_for_others_beside() -> None:
    allowance: Allowance[int] = Allowance()
    assert all(allowance.take("a", number, 0) for number in range(MOST_HELD))
    assert not allowance.take("a", -1, 0)
    assert allowance.take("b", -2, 0)


def version(number: int, name: str = "one", namespace: str = "acme-prod", size: int = HEAVY) -> Difference:
    """One of the versions of a policy; what it opens is a port of that number, its annotations are large."""
    ref = ObjectRef("networking.k8s.io", "NetworkPolicy", namespace, name)
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "annotations": {"x": "x" * size}},
        "spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 1 + number}]}]},
    }
    live = Live(ref, orjson.dumps(body), Digest(b"%d" % number), "u", str(number), terminating=False, managers=())
    return Difference(FindingType.UNEXPECTED, ref, None, live)


class Judge:
    """A judge, and what it told."""

    def __init__(self, compiled: Compiled = COMPILED) -> None:
        self.told: list[Finding] = []
        self.compiled = compiled
        self.meaning = Meaning(compiled=lambda: compiled, policies=2000, judged=self._take, decided=lambda _scope: None)

    async def _take(self, found: Finding) -> None:
        self.told.append(found)

    def offer(self, difference: Difference) -> None:
        namespace = difference.ref.namespace
        teller = Teller(self.compiled, self.compiled.governed[namespace], Scope(namespace))
        self.meaning.offer(teller.tell(difference, UNJUDGED), difference)

    async def run(self) -> None:
        running = asyncio.create_task(self.meaning.run())
        async with asyncio.timeout(60):
            while not self.meaning.idle:
                await asyncio.sleep(0.01)
        running.cancel()


@pytest.fixture
def judge() -> Judge:
    return Judge()


async def test_of_an_object_that_becomes_another_one_again_and_again_the_first_versions_and_the_newest_wait(
    judge: Judge,
) -> None:
    """Seen: six hundred versions of one policy of 120 KiB waited, 60 MiB of them."""
    for number in range(600):
        judge.offer(version(number))
    await judge.run()
    assert [one.witness.port for one in judge.told if one.witness is not None] == [*"1234567", "600"]


async def test_what_an_object_was_before_it_was_canonical_makes_room_for_nothing_that_came_after(judge: Judge) -> None:
    judge.offer(version(1))
    judge.meaning.settle(version(1).ref)
    for number in range(10, 30):
        judge.offer(version(number))
    await judge.run()
    ports = [one.witness.port for one in judge.told if one.witness is not None]
    assert ports == ["2", *(str(1 + number) for number in range(10, 17)), "30"]


async def test_what_is_too_much_of_one_tenant_is_not_judged_and_anothers_is(judge: Judge) -> None:
    for number in range(60):
        judge.offer(version(number, f"p{number}"))
    judge.offer(version(1, "other", "globex-prod"))
    await judge.run()
    assert {one.ref.namespace for one in judge.told} == {"acme-prod", "globex-prod"}
    assert len(judge.told) == MOST_BYTES // HEAVY + 1, "and the one of somebody else"
    judge.offer(version(59, "p59"))
    await judge.run()
    assert judge.told[-1].ref.name == "p59", "with what was judged its room is free again"


def by_service(namespace: str) -> Difference:
    """A policy by a Service of which nobody knows who stands behind it."""
    rule = {"action": "Allow", "destination": {"services": {"name": "away"}}}
    ref = ObjectRef("projectcalico.org", "NetworkPolicy", namespace, "by-name")
    body = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "NetworkPolicy",
        "metadata": {"name": "by-name", "namespace": namespace},
        "spec": {"order": 1, "types": ["Egress"], "egress": [rule]},
    }
    live = Live(ref, orjson.dumps(body), Digest(b"1"), "u", "1", terminating=False, managers=())
    return Difference(FindingType.UNEXPECTED, ref, None, live)


async def test_what_one_tenant_has_that_nobody_can_judge_leaves_others_their_second_chance() -> None:
    """Seen: with five hundred such policies of one tenant nobody else's was looked at again."""
    judge = Judge(compiled_models(ROOT / "tests" / "models" / "calico"))
    for number in range(MOST_HELD):
        judge.meaning._offers._unknown_held.take("red", ObjectRef("", "NetworkPolicy", "tiers-red", str(number)), 0)
    for namespace in ("tiers-red", "tiers-blue"):
        judge.offer(by_service(namespace))
    await judge.run()
    assert [one.direction for one in judge.told] == [Direction.UNKNOWN] * 2
    known = [LiveSlice(name, "away-1", "away", ("198.18.0.9",), (("TCP", 25),)) for name in ("tiers-red", "tiers-blue")]
    await judge.meaning.ask(lambda world: world.surround(Backings.of((), known, {})))
    judge.meaning.reconsider()
    await judge.run()
    assert [(one.ref.namespace, one.direction) for one in judge.told[2:]] == [("tiers-blue", Direction.LOOSENS)]
