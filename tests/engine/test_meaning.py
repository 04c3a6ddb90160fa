"""Judging goes on beside the loop, is remembered, and gives up on models that are too large."""

import asyncio
from dataclasses import replace

from driftd.drift import Comparison, Difference
from driftd.drift.findings import Teller, blocked
from driftd.drift.meaning import UNJUDGED
from driftd.drift.state import LiveScope
from driftd.engine import Meaning
from driftd.engine.own_policies import MOST_OWN
from driftd.telemetry import Trace, Traces
from driftd.values import Direction, Finding, FindingType, ObjectRef, Scope
from tests.support.meaning import own_policy
from tests.support.spans import InMemory
from tests.support.stage import MODELS, compiled_models

COMPILED = compiled_models(MODELS)
ACME = COMPILED.governed["acme-prod"]
REF = ObjectRef("networking.k8s.io", "NetworkPolicy", "acme-prod", "default-deny")
GONE = Difference(FindingType.MISSING, REF, ACME.objects[REF], None)


def finding(difference: Difference = GONE) -> Finding:
    return Teller(COMPILED, ACME, Scope("acme-prod")).tell(difference, UNJUDGED)


async def judged(
    policies: int, difference: Difference = GONE, trace: Trace | None = None
) -> tuple[Meaning, list[Finding]]:
    told: list[Finding] = []

    async def take(found: Finding) -> None:
        told.append(found)

    meaning = Meaning(compiled=lambda: COMPILED, policies=policies, judged=take, decided=lambda _scope: None)
    running = asyncio.create_task(meaning.run())
    meaning.offer(finding(difference), difference, trace)
    async with asyncio.timeout(20):
        while not (told or meaning.idle):
            await asyncio.sleep(0.01)
    running.cancel()
    return meaning, told


async def test_an_offered_finding_comes_back_with_its_direction() -> None:
    _, told = await judged(2000)
    assert [found.direction for found in told] == [Direction.LOOSENS]
    assert told[0].id == finding().id


async def test_the_span_of_a_judgement_says_what_the_page_says() -> None:
    spans = InMemory()
    trace = Traces(spans).begin("driftd.reconcile", {})
    trace.keep()
    trace.end("repaired", eventful=True)
    _, (found,) = await judged(2000, trace=trace)
    assert found.witness is not None
    assert [(one.name, one.parent, one.attributes) for one in spans.made[1:]] == [
        (
            "driftd.judge",
            trace.root,
            {
                "driftd.direction": "loosens",
                "driftd.severity": found.severity.value,
                "driftd.witness": str(found.witness),
            },
        )
    ]


async def test_what_was_judged_once_is_known_at_the_next_comparison() -> None:
    meaning, _ = await judged(2000)
    known = meaning.recall(ACME, LiveScope(Scope("acme-prod"), {}), [GONE])
    assert known[REF].direction is Direction.LOOSENS


async def test_what_concerns_no_known_pod_comes_back_as_such_and_is_known_as_such() -> None:
    later = own_policy({"podSelector": {"matchLabels": {"role": "debug"}}, "egress": [{}], "policyTypes": ["Egress"]})
    meaning, told = await judged(2000, later)
    assert [(found.direction, found.neutral_now) for found in told] == [(Direction.LOOSENS, True)]
    assert told[0].effect.startswith("no pod that is known gains anything now; one made later could: acme-prod/any pod")
    known = meaning.recall(ACME, LiveScope(Scope("acme-prod"), {}), [later])[later.ref]
    again = Teller(COMPILED, ACME, Scope("acme-prod")).tell(later, known)
    assert (again.neutral_now, again.effect) == (True, told[0].effect)
    assert blocked(again, "a pause", "c").neutral_now


async def test_a_model_that_is_too_large_stays_unknown() -> None:
    meaning, told = await judged(3)
    assert told == []
    assert meaning.recall(ACME, LiveScope(Scope("acme-prod"), {}), [GONE]) == {}


# -- what is decided by effect -----------------------------------------------------------------------------------------

REF_OF_OWN = ObjectRef("networking.k8s.io", "NetworkPolicy", "acme-prod", "own")
TOLERANT = replace(ACME, tenant_policies="inertOrTightening")
SCOPE = Scope("acme-prod")


def looked(*differences: Difference) -> Comparison:
    scope = Scope(differences[0].ref.namespace)
    found = [Teller(COMPILED, COMPILED.governed[scope.namespace], scope).tell(one, UNJUDGED) for one in differences]
    return Comparison(scope, tuple(found), {one.id: other for one, other in zip(found, differences, strict=True)})


async def decided(difference: Difference, policies: int = 2000) -> tuple[Meaning, list[Scope], bool]:
    """What became of a policy of the tenant's own: the judge, the scopes it told, and whether anything waited."""
    told: list[Scope] = []

    async def take(_found: Finding) -> None:
        return

    meaning = Meaning(compiled=lambda: COMPILED, policies=policies, judged=take, decided=told.append)
    waits = bool(meaning.undecided(TOLERANT, looked(difference)))
    running = asyncio.create_task(meaning.run())
    async with asyncio.timeout(20):
        while not meaning.idle:
            await asyncio.sleep(0.01)
    running.cancel()
    return meaning, told, waits


async def test_the_deletion_of_what_may_be_tolerated_waits_until_it_is_judged_and_no_longer() -> None:
    difference = own_policy({"podSelector": {}, "policyTypes": ["Ingress"]})
    meaning, told, waits = await decided(difference)
    assert waits
    assert told == [SCOPE]
    assert meaning.undecided(TOLERANT, looked(difference)) == {}
    known = meaning.recall(TOLERANT, LiveScope(SCOPE, {}), [difference])
    assert known[difference.ref].direction is Direction.NEUTRAL


async def test_what_cannot_be_judged_waits_for_nothing() -> None:
    _, told, waits = await decided(own_policy({"podSelector": {}}), policies=3)
    assert (waits, told) == (False, [])


async def test_a_judgement_that_fails_is_an_answer_and_a_tolerant_plan_lets_nothing_stand_on_it() -> None:
    difference = own_policy("no spec at all")
    meaning, told, waits = await decided(difference)
    assert waits
    assert told == [SCOPE]
    assert meaning.recall(TOLERANT, LiveScope(SCOPE, {}), [difference])[difference.ref] == UNJUDGED


def many_rules(count: int) -> Difference:
    rules = [
        {"from": [{"ipBlock": {"cidr": f"10.{n}.0.0/16", "except": [f"10.{n}.1.0/24"]}}], "ports": [{"port": 1000 + n}]}
        for n in range(count)
    ]
    return own_policy({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": rules})


async def test_a_policy_that_would_keep_the_judge_from_everybody_else_is_not_judged_and_does_not_stand() -> None:
    difference = many_rules(300)
    meaning, told, _ = await decided(difference)
    assert told == [SCOPE]
    known = meaning.recall(TOLERANT, LiveScope(SCOPE, {}), [difference])
    assert known[difference.ref].direction is Direction.UNKNOWN
    small, _, _ = await decided(many_rules(20))
    assert small.recall(TOLERANT, LiveScope(SCOPE, {}), [many_rules(20)])[REF_OF_OWN].direction is Direction.LOOSENS


async def test_a_policy_that_is_another_one_at_every_look_is_not_waited_for() -> None:
    async def take(_found: Finding) -> None:
        return

    seconds = [0.0]
    meaning = Meaning(
        compiled=lambda: COMPILED, policies=2000, judged=take, decided=lambda _scope: None, now=lambda: seconds[0]
    )
    waits = []
    for port in range(40):
        seconds[0] += 0.1
        spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 1000 + port}]}]}
        waits.append(bool(meaning.undecided(TOLERANT, looked(own_policy(spec)))))
    assert waits[:5] == [True] * 5
    assert not any(waits[8:])
    seconds[0] += 120.0
    assert meaning.undecided(TOLERANT, looked(own_policy({"podSelector": {}, "policyTypes": ["Ingress"]})))


async def test_where_nothing_of_their_own_may_stand_nothing_waits() -> None:
    meaning = Meaning(compiled=lambda: COMPILED, policies=2000, judged=_nobody, decided=lambda _scope: None)
    never = replace(ACME, tenant_policies="never")
    assert meaning.undecided(never, looked(own_policy({"podSelector": {}}))) == {}


async def _nobody(_finding: Finding) -> None:
    return


async def test_what_waits_too_long_for_its_judgement_is_told_as_it_is_and_does_not_wait_again_at_once() -> None:
    seconds = [0.0]
    meaning = Meaning(
        compiled=lambda: COMPILED, policies=2000, judged=_nobody, decided=lambda _scope: None, now=lambda: seconds[0]
    )
    early, late = (
        own_policy(INERT, "early"),
        own_policy({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}, "late"),
    )
    found = looked(early, late).findings[1]
    assert list(meaning.undecided(TOLERANT, looked(early)).values()) == [600.0], "at first all of them wait at once"
    await idle(meaning)
    assert meaning.undecided(TOLERANT, looked(early)) == {}
    assert meaning.undecided(TOLERANT, looked(early, late)) == {found.id: 5.0}
    seconds[0] += 4.0
    other = own_policy({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": []}]}, "late")
    assert meaning.undecided(TOLERANT, looked(early, other)) == {found.id: 1.0}, "another version does not begin anew"
    seconds[0] += 1.0
    assert meaning.undecided(TOLERANT, looked(early, other)) == {}
    assert meaning.undecided(TOLERANT, looked(early)) == {}, "it is gone"
    assert meaning.undecided(TOLERANT, looked(early, late)) == {}, "and back"
    seconds[0] += 60.0
    assert meaning.undecided(TOLERANT, looked(early)) == {}
    assert meaning.undecided(TOLERANT, looked(early, late)) == {found.id: 5.0}


async def test_a_judgement_that_was_forgotten_is_made_again() -> None:
    told: list[Scope] = []
    meaning = Meaning(compiled=lambda: COMPILED, policies=2000, judged=_nobody, decided=told.append)
    mine = own_policy(INERT)
    assert meaning.undecided(TOLERANT, looked(mine))
    await idle(meaning)
    meaning._known.clear()
    assert meaning.undecided(TOLERANT, looked(mine))
    await idle(meaning)
    assert meaning.undecided(TOLERANT, looked(mine)) == {}
    assert told == [SCOPE, SCOPE]


# -- one tenant beside others ------------------------------------------------------------------------------------------

INERT = {"podSelector": {}, "policyTypes": ["Ingress"]}
GLOBEX = replace(COMPILED.governed["globex-prod"], tenant_policies="inertOrTightening")


async def idle(meaning: Meaning) -> None:
    running = asyncio.create_task(meaning.run())
    async with asyncio.timeout(60):
        while not meaning.idle:
            await asyncio.sleep(0.01)
    running.cancel()


def unlabelled(difference: Difference) -> Finding:
    found = looked(difference)
    return found.findings[0]


async def test_what_one_tenant_has_waiting_delays_another_by_one_judgement() -> None:
    told: list[str] = []

    async def take(found: Finding) -> None:
        told.append(found.ref.namespace)

    meaning = Meaning(compiled=lambda: COMPILED, policies=2000, judged=take, decided=lambda _scope: None)
    for number in range(10):
        noisy = own_policy(INERT, f"p{number}")
        meaning.offer(unlabelled(noisy), noisy)
    quiet = own_policy(INERT, "one", "globex-prod")
    meaning.offer(unlabelled(quiet), quiet)
    await idle(meaning)
    assert told.index("globex-prod") == 1
    assert len(told) == 11


def test_of_one_tenant_so_many_wait_and_another_still_may() -> None:
    meaning = Meaning(compiled=lambda: COMPILED, policies=2000, judged=_nobody, decided=lambda _scope: None)
    for number in range(600):
        noisy = own_policy(INERT, f"p{number}")
        meaning.offer(unlabelled(noisy), noisy)
        meaning.settle(REF)
    assert meaning._offers.of("acme") == 500
    quiet = own_policy(INERT, "one", "globex-prod")
    meaning.offer(unlabelled(quiet), quiet)
    assert meaning._offers.of("globex") == 1


async def test_judgements_that_something_waits_for_do_not_keep_all_others_for_ever() -> None:
    order: list[str] = []

    async def take(found: Finding) -> None:
        order.append(found.ref.name)

    meaning = Meaning(
        compiled=lambda: COMPILED, policies=2000, judged=take, decided=lambda scope: order.append(scope.namespace)
    )
    meaning.undecided(TOLERANT, looked(*(own_policy(INERT, f"p{number}") for number in range(6))))
    other = own_policy(INERT, "one", "globex-prod")
    meaning.offer(unlabelled(other), other)
    await idle(meaning)
    assert order.index("one") == 4
    assert order.count("acme-prod") == 6


async def test_of_policies_of_its_own_a_namespace_has_so_many_and_the_first_ones_stay() -> None:
    meaning = Meaning(compiled=lambda: COMPILED, policies=2000, judged=_nobody, decided=lambda _scope: None)
    many = [own_policy(INERT, f"p{number:03}") for number in range(MOST_OWN + 5)]
    assert len(meaning.undecided(TOLERANT, looked(*many))) == MOST_OWN
    await idle(meaning)
    assert meaning.undecided(TOLERANT, looked(*many)) == {}
    known = meaning.recall(TOLERANT, LiveScope(SCOPE, {}), many)
    assert {ref.name for ref in known} == {one.ref.name for one in many[:MOST_OWN]}
    elsewhere = own_policy(INERT, "one", "globex-prod")
    assert meaning.undecided(GLOBEX, looked(elsewhere)), "another namespace has its own room"
    left = [*many[1:MOST_OWN], many[-1]]
    assert len(meaning.undecided(TOLERANT, looked(*left))) == 1, "where one is gone another has room"


async def test_a_policy_that_comes_back_is_judged_by_the_pods_of_today() -> None:
    meaning = Meaning(compiled=lambda: COMPILED, policies=2000, judged=_nobody, decided=lambda _scope: None)
    difference, other = own_policy(INERT), own_policy(INERT, "other")
    meaning.undecided(TOLERANT, looked(difference, other))
    await idle(meaning)
    meaning.undecided(TOLERANT, looked(other))
    await idle(meaning)
    assert meaning.recall(TOLERANT, LiveScope(SCOPE, {}), [difference]) == {}
    assert meaning.undecided(TOLERANT, looked(difference, other))


async def test_for_how_long_a_judgement_takes_can_be_asked_and_waiting_for_nothing_is_no_time() -> None:
    seconds, began, go_on = [0.0], asyncio.Event(), asyncio.Event()

    async def take(_found: Finding) -> None:
        began.set()
        await go_on.wait()

    meaning = Meaning(
        compiled=lambda: COMPILED, policies=2000, judged=take, decided=lambda _scope: None, now=lambda: seconds[0]
    )
    meaning.offer(finding(), GONE)
    seconds[0] = 500.0
    assert meaning.stuck_seconds == 0.0, "a replica that does not lead judges nothing"
    running = asyncio.create_task(meaning.run())
    async with asyncio.timeout(20):
        await began.wait()
        seconds[0] = 700.0
        assert meaning.stuck_seconds == 200.0
        go_on.set()
        while meaning.stuck_seconds:
            await asyncio.sleep(0.01)
    running.cancel()


async def test_what_is_too_large_to_be_held_while_it_waits_is_not_judged_and_does_not_stand() -> None:
    meaning = Meaning(compiled=lambda: COMPILED, policies=2000, judged=_nobody, decided=lambda _scope: None)
    heavy = own_policy({**INERT, "note": "x" * 200_000})
    small = own_policy(INERT)
    assert small.live is not None
    hollow = replace(small, live=replace(small.live, abridged=True, hollow=True))
    for one in (heavy, hollow):
        assert meaning.undecided(TOLERANT, looked(one)) == {}
        meaning.offer(unlabelled(one), one)
    assert meaning.idle
