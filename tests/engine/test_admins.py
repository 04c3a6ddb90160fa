"""Live admin policies: what of the mirror is judged, and what is judged again when they change."""

import asyncio
import random
from dataclasses import replace

from driftd.cluster import Mirror, Pace, Truth
from driftd.drift import Comparison, Difference, KindState
from driftd.drift.findings import Teller
from driftd.drift.meaning import UNJUDGED
from driftd.engine import LiveAdmins, Observer
from driftd.engine.offers import Offered, Offers
from driftd.policy.kinds import Coverage, digests_under
from driftd.values import CLUSTER, Body, Digest, Direction, FindingType, Live, Resource, Scope
from tests.support.admins import GROUP, admin, incoming, lived, living, ref_of, spaces
from tests.support.cluster import HandClock
from tests.support.meaning import judging, own_policy, platform
from tests.support.stage import MODELS, compiled_models

ADMINS = Resource(GROUP, "v1alpha1", "AdminNetworkPolicy", "adminnetworkpolicies", namespaced=False)
ONE = admin("one", spaces("shop"), incoming("Deny", spaces()))
LETS_IN = admin("lets-in", spaces("globex-prod"), incoming("Allow", spaces("acme-prod")))
SHUTS = admin("shuts", spaces("globex-prod"), incoming("Deny", spaces()), priority=1)


# -- from the mirror ---------------------------------------------------------------------------------------------------


def mirror_of(resource: Resource = ADMINS, *bodies: Body, state: KindState = KindState.READY) -> Mirror:
    clock = HandClock()
    mirror = Mirror(digests_under(Coverage()), Pace(clock, asyncio.sleep, random.random))
    mirror.watch(resource)
    mirror.replace_all(resource, [version(body, 1) for body in bodies], "1")
    mirror.mark(resource, state)
    return mirror


def version(body: Body, number: int) -> Live:
    return replace(lived(body), resource_version=str(number))


def test_the_state_of_today_is_one_value_until_something_of_it_is_another() -> None:
    mirror = mirror_of()
    admins = LiveAdmins(mirror)
    changes: list[int] = []
    admins.subscribe(lambda: changes.append(1))
    assert (admins.current.live, admins.current.seen) == ({}, True)
    mirror.apply(ADMINS, version(ONE, 2))
    first = admins.current
    assert list(first.live) == [ref_of(ONE)]
    mirror.apply(ADMINS, version({**ONE, "status": {"conditions": [{"type": "Ready"}]}}, 3))
    assert admins.current is first
    assert len(changes) == 1
    mirror.apply(ADMINS, version(admin("one", spaces("desk")), 4))
    assert admins.current is not first
    assert len(changes) == 2


def test_a_list_of_many_is_one_change_until_somebody_asks() -> None:
    mirror = mirror_of()
    admins = LiveAdmins(mirror)
    changes: list[int] = []
    admins.subscribe(lambda: changes.append(1))
    for number in range(5):
        mirror.apply(ADMINS, version(admin(f"p{number}", spaces()), number + 2))
    assert len(changes) == 1
    assert len(admins.current.live) == 5


def test_what_cannot_be_read_counts_as_last_seen_and_a_kind_that_is_not_served_has_nothing() -> None:
    mirror = mirror_of(ADMINS, ONE, state=KindState.SYNCING)
    admins = LiveAdmins(mirror)
    mirror.apply(ADMINS, version(admin("two", spaces()), 2))
    assert (admins.current.seen, len(admins.current.live)) == (False, 2)  # not listed yet
    mirror.mark(ADMINS, KindState.READY)
    assert (admins.current.seen, len(admins.current.live)) == (True, 2)
    mirror.mark(ADMINS, KindState.SYNCING)  # listed anew
    assert (admins.current.seen, len(admins.current.live)) == (True, 2)
    mirror.mark(ADMINS, KindState.BLIND, "forbidden")
    assert (admins.current.seen, len(admins.current.live)) == (False, 2)
    assert admins.unseen == ("AdminNetworkPolicy",)
    mirror.mark(ADMINS, KindState.ABSENT)
    assert (admins.current.seen, len(admins.current.live)) == (True, 0)
    assert not LiveAdmins(mirror).unseen


def observer(mirror: Mirror) -> Observer:
    truth: Truth = Truth(None, lambda ref: mirror.reader(mirror.resource_of(ref)))  # type: ignore[arg-type] # not asked
    return Observer(mirror, truth, lambda _name: None, lambda: (), LiveAdmins(mirror))


def test_the_cluster_has_those_that_are_read_to_be_judged_and_those_of_another_version_as_not_understood() -> None:
    mirror = mirror_of()
    watcher = observer(mirror)
    mirror.apply(ADMINS, version(ONE, 2))
    seen = watcher.look(CLUSTER)
    assert ([one.ref for one in seen.evaluated], seen.unknown) == ([ref_of(ONE)], ())
    assert watcher.look(Scope("shop")).evaluated == ()
    later = replace(ADMINS, version="v2")
    strange = mirror_of(later)
    watcher, admins = observer(strange), LiveAdmins(strange)
    strange.apply(later, version(ONE, 2))
    seen = watcher.look(CLUSTER)
    assert (seen.evaluated, [one.ref for one in seen.unknown]) == ((), [ref_of(ONE)])
    assert admins.current.live == {}


def test_of_a_kind_that_cannot_be_read_the_cluster_says_so_and_of_one_that_went_away_nothing_is_left() -> None:
    mirror = mirror_of()
    watcher = observer(mirror)
    mirror.apply(ADMINS, version(ONE, 2))
    mirror.mark(ADMINS, KindState.BLIND, "forbidden")
    assert "AdminNetworkPolicy" in watcher.look(CLUSTER).not_ready
    assert "AdminNetworkPolicy" not in watcher.look(Scope("shop")).not_ready
    mirror.mark(ADMINS, KindState.ABSENT)
    seen = watcher.look(CLUSTER)
    assert (seen.evaluated, seen.unknown) == ((), ())


# -- judged again ------------------------------------------------------------------------------------------------------


def rogue(namespace: str = "acme-prod") -> Difference:
    """A policy of somebody's that lets out to another tenant, and so opens something where that one is let in."""
    there = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "globex-prod"}}}
    return own_policy({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [there]}]}, "rogue", namespace)


async def test_what_stands_is_judged_again_when_admin_policies_come_and_go() -> None:
    async with judging() as judge:
        judge.looked(rogue())
        await judge.done()
        assert [one.direction for one in judge.found] == [Direction.NEUTRAL]
        judge.become(living(LETS_IN))
        assert judge.marked == [Scope("acme-prod")]  # so that its cycle offers it
        judge.looked(rogue())
        await judge.done()
        assert [one.direction for one in judge.found[1:]] == [Direction.LOOSENS]
        judge.looked(rogue())  # nothing has changed since
        await judge.done()
        assert len(judge.found) == 2
        judge.become(living(LETS_IN, SHUTS))
        judge.looked(rogue())
        await judge.done()
        assert judge.found[-1].direction is Direction.LOOSENS  # perhaps nobody enforces what shuts it
        judge.become(living())
        judge.looked(rogue())
        await judge.done()
        assert [one.direction for one in judge.found[-1:]] == [Direction.NEUTRAL]


def test_what_was_judged_in_a_world_of_before_is_judged_once_more_unless_there_is_more_of_it_to_judge() -> None:
    compiled, offers = compiled_models(MODELS), Offers()
    teller = Teller(compiled, compiled.governed["acme-prod"], Scope("acme-prod"))

    def offered(number: int) -> Offered:
        one = rogue()
        assert one.live is not None
        one = replace(one, live=replace(one.live, digest=Digest(b"%d" % number)))
        return Offered(teller.tell(one, UNJUDGED), one, None)

    offers.once_more("acme", offered(1))
    assert offers.next() == replace(offered(1), again=True)
    offers.put("acme", offered(2))
    offers.once_more("acme", offered(1))
    assert (offers.next(), offers.next()) == (offered(2), None)
    offers.settle("acme", rogue().ref)
    offers.once_more("acme", offered(2))
    assert (offers.next(), offers.next()) == (rogue().ref, None)


async def test_what_is_over_is_forgotten_when_they_change() -> None:
    async with judging() as judge:
        judge.looked(rogue())
        await judge.done()
        judge.meaning.settle(rogue().ref)
        await judge.done()
        judge.become(living(LETS_IN))
        finding = judge.looked(rogue()).findings[0]
        assert finding.direction is Direction.UNKNOWN  # which ranks as loosening
        await judge.done()
        assert judge.found[-1].direction is Direction.LOOSENS


async def test_while_they_cannot_be_seen_nothing_is_known_of_what_is_new_and_later_it_is() -> None:
    async with judging() as judge:
        judge.become(living(seen=False))
        judge.looked(rogue())
        await judge.done()
        assert [one.direction for one in judge.found] == [Direction.UNKNOWN]
        judge.become(living(LETS_IN))
        judge.looked(rogue())
        await judge.done()
        assert judge.found[-1].direction is Direction.LOOSENS


async def test_what_a_plan_lets_stand_falls_when_one_comes_that_lets_in_and_not_while_they_cannot_be_seen() -> None:
    async with judging(platform("inertOrTightening")) as judge:
        governed = judge.compiled.governed["acme-prod"]

        def comparison() -> Comparison:
            return judge.looked(rogue())

        assert judge.meaning.undecided(governed, comparison())
        await judge.done()
        assert comparison().findings[0].type is FindingType.TOLERATED
        judge.become(living(seen=False))
        await judge.done()
        assert comparison().findings[0].type is FindingType.TOLERATED
        judge.become(living(SHUTS))
        await judge.done()
        assert comparison().findings[0].type is FindingType.TOLERATED
        judge.become(living(SHUTS, LETS_IN))
        await judge.done()
        assert comparison().findings[0].type is FindingType.UNEXPECTED
