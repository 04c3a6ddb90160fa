"""What is judged once more: after a world was thrown away, and when it is known what was not known before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import orjson

from driftd.compile import Compiled
from driftd.drift import Backings, Difference, Judgement, LiveScope, LiveSlice
from driftd.drift.findings import Teller
from driftd.drift.meaning import UNJUDGED
from driftd.engine import Meaning
from driftd.values import Body, Digest, Direction, Finding, FindingType, Live, ObjectRef, Scope
from tests.support.stage import MODELS, ROOT, compiled_models


@dataclass
class Told:
    """A judge at work, and what it tells."""

    compiled: Compiled
    meaning: Meaning
    found: list[Finding] = field(default_factory=list)

    def offer(self, difference: Difference, known: Judgement = UNJUDGED) -> None:
        scope = difference.ref.namespace
        finding = Teller(self.compiled, self.compiled.governed[scope], Scope(scope)).tell(difference, known)
        self.meaning.offer(finding, difference)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.found) < count or not self.meaning.idle:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def judging(compiled: Compiled) -> AsyncIterator[Told]:
    async def take(finding: Finding) -> None:
        told.found.append(finding)

    meaning = Meaning(compiled=lambda: compiled, policies=2000, judged=take, decided=lambda _scope: None)
    told = Told(compiled, meaning)
    running = asyncio.create_task(meaning.run())
    try:
        yield told
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def extra(body: Body) -> Difference:
    group = body["apiVersion"].rpartition("/")[0]
    ref = ObjectRef(group, body["kind"], body["metadata"]["namespace"], body["metadata"]["name"])
    live = Live(ref, orjson.dumps(body), Digest(b"1"), "u", "1", terminating=False, managers=())
    return Difference(FindingType.UNEXPECTED, ref, None, live)


def own(name: str) -> Difference:
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}
    metadata = {"name": name, "namespace": "acme-prod"}
    return extra({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec})


def half(name: str, namespace: str, direction: str, other: str) -> Difference:
    """A policy that opens nothing alone: its other half is another namespace's."""
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": other}}}
    end = "to" if direction == "Egress" else "from"
    spec = {"podSelector": {}, "policyTypes": [direction], direction.lower(): [{end: [peer]}]}
    metadata = {"name": name, "namespace": namespace}
    return extra({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec})


async def test_what_comes_back_stands_in_the_world_again_though_its_judgement_is_remembered() -> None:
    out = half("out", "acme-prod", "Egress", "globex-prod")
    into = half("into", "globex-prod", "Ingress", "acme-prod")
    compiled = compiled_models(MODELS)
    strict = {name: replace(one, tenant_policies="never") for name, one in compiled.governed.items()}
    async with judging(replace(compiled, governed=strict)) as told:
        told.offer(out)
        await told.until(1)
        told.meaning.settle(out.ref)
        known = told.meaning.recall(told.compiled.governed["acme-prod"], LiveScope(Scope("acme-prod"), {}), [out])
        told.offer(out, known[out.ref])
        await told.until(1)
        told.offer(into)
        await told.until(2)
        told.meaning.settle(out.ref)
        told.offer(out, known[out.ref])
        await told.until(3)
    first, second, third = ((one.ref.name, one.direction) for one in told.found)
    assert first == ("out", Direction.NEUTRAL)
    assert second == ("into", Direction.LOOSENS)
    assert third == ("out", Direction.LOOSENS), "with its other half in place it is not what it was"


async def test_when_a_world_is_thrown_away_what_lives_is_to_be_told_again_and_what_waits_is_judged() -> None:
    lost: list[str] = []
    async with judging(compiled_models(MODELS)) as told:
        told.meaning.subscribe_losses(lambda: lost.append("world"))
        world = await told.meaning.ask(lambda world: world)
        world._standing = None  # type: ignore[assignment]  # whatever is judged next goes wrong
        told.offer(own("first"))
        told.offer(own("second"))
        await told.until(1)
        assert lost == ["world"]
        assert [(one.ref.name, one.direction) for one in told.found] == [("second", Direction.LOOSENS)]


async def test_what_could_not_be_judged_for_want_of_slices_is_judged_when_they_are_known() -> None:
    rule = {"action": "Allow", "destination": {"services": {"name": "away"}}}
    slices = [LiveSlice("tiers-red", "away-1", "away", ("198.18.0.9",), (("TCP", 25),))]
    body = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "NetworkPolicy",
        "metadata": {"name": "by-name", "namespace": "tiers-red"},
        "spec": {"order": 1, "types": ["Egress"], "egress": [rule]},
    }
    async with judging(compiled_models(ROOT / "tests" / "models" / "calico")) as told:
        told.offer(extra(body))
        await told.until(1)
        told.meaning.reconsider()
        await told.until(1)
        assert [one.direction for one in told.found] == [Direction.UNKNOWN]  # and not once more
        await told.meaning.ask(lambda world: world.surround(Backings.of((), slices, {})))
        told.meaning.reconsider()
        await told.until(2)
        assert told.found[1].direction is Direction.LOOSENS
        assert told.found[1].witness is not None
        assert told.found[1].witness.target == "198.18.0.9/32"
