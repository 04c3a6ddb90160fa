"""What is judged once more: after a world was thrown away, and when it is known what was not known before."""

from driftd.drift import Backings, Difference, LiveScope, LiveSlice
from driftd.values import Body, Direction, Scope
from tests.support.meaning import judging, own_policy, unexpected
from tests.support.stage import MODELS, ROOT, compiled_models

HOLE: Body = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}


def half(name: str, namespace: str, direction: str, other: str) -> Difference:
    """A policy that opens nothing alone: its other half is another namespace's."""
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": other}}}
    end = "to" if direction == "Egress" else "from"
    spec = {"podSelector": {}, "policyTypes": [direction], direction.lower(): [{end: [peer]}]}
    return own_policy(spec, name, namespace)


async def test_what_comes_back_stands_in_the_world_again_though_its_judgement_is_remembered() -> None:
    out = half("out", "acme-prod", "Egress", "globex-prod")
    into = half("into", "globex-prod", "Ingress", "acme-prod")
    async with judging() as judge:
        judge.offer(out)
        await judge.done(1)
        judge.meaning.settle(out.ref)
        known = judge.meaning.recall(judge.compiled.governed["acme-prod"], LiveScope(Scope("acme-prod"), {}), [out])
        judge.offer(out, known[out.ref])
        await judge.done(1)
        judge.offer(into)
        await judge.done(2)
        judge.meaning.settle(out.ref)
        judge.offer(out, known[out.ref])
        await judge.done(3)
    first, second, third = ((one.ref.name, one.direction) for one in judge.found)
    assert first == ("out", Direction.NEUTRAL)
    assert second == ("into", Direction.LOOSENS)
    assert third == ("out", Direction.LOOSENS), "with its other half in place it is not what it was"


async def test_when_a_world_is_thrown_away_what_lives_is_to_be_told_again_and_what_waits_is_judged() -> None:
    lost: list[str] = []
    async with judging(compiled_models(MODELS)) as judge:
        judge.meaning.subscribe_losses(lambda: lost.append("world"))
        world = await judge.meaning.ask(lambda world: world)
        world._standing = None  # type: ignore[assignment]  # whatever is judged next goes wrong
        judge.offer(own_policy(HOLE, "first"))
        judge.offer(own_policy(HOLE, "second"))
        await judge.done(1)
        assert lost == ["world"]
        assert [(one.ref.name, one.direction) for one in judge.found] == [("second", Direction.LOOSENS)]


async def test_what_could_not_be_judged_for_want_of_slices_is_judged_when_they_are_known() -> None:
    rule = {"action": "Allow", "destination": {"services": {"name": "away"}}}
    slices = [LiveSlice("tiers-red", "away-1", "away", ("198.18.0.9",), (("TCP", 25),))]
    body = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "NetworkPolicy",
        "metadata": {"name": "by-name", "namespace": "tiers-red"},
        "spec": {"order": 1, "types": ["Egress"], "egress": [rule]},
    }
    async with judging(compiled_models(ROOT / "tests" / "models" / "calico")) as judge:
        judge.offer(unexpected(body))
        await judge.done(1)
        judge.meaning.reconsider()
        await judge.done(1)
        assert [one.direction for one in judge.found] == [Direction.UNKNOWN]  # and not once more
        await judge.meaning.ask(lambda world: world.surround(Backings.of((), slices, {})))
        judge.meaning.reconsider()
        await judge.done(2)
        assert judge.found[1].direction is Direction.LOOSENS
        assert judge.found[1].witness is not None
        assert judge.found[1].witness.target == "198.18.0.9/32"
