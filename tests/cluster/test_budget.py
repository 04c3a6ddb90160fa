"""What one tenant may make of a kind fills no memory, and what is not kept is never taken for the object."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from driftd.cluster import Mirror, Pace, completed
from driftd.cluster.budget import LITTLE, OVERHEAD, Budget, abridged
from driftd.policy.kinds import KINDS, Coverage, MalformedObject
from driftd.values import Digest, Live, Resource, Scope
from tests.support.cluster import NAMESPACE, NETPOL, HandClock, policy, spec_digest


def big(namespace: str, name: str, size: int, version: int = 1, resource: Resource = NETPOL) -> Live:
    body = policy(namespace, name, note="x" * size)
    body["metadata"] |= {
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
        "labels": {"app": "web"},
        "finalizers": ["foreign/one"],
        "annotations": {"driftd.dev/condemned": "7", "notes": "y" * 100},
    }
    ref = resource.ref(namespace, name)
    return Live(ref, orjson.dumps(body), Digest(b"d" * 16), f"uid-{name}", str(version), terminating=False, managers=())


@pytest.fixture
def watched(pace: Pace) -> Mirror:
    mirror = Mirror(spec_digest, pace, namespace_bytes=10_000 + 4 * OVERHEAD)
    mirror.watch(NETPOL)
    mirror.watch(NAMESPACE)
    return mirror


def held(mirror: Mirror, namespace: str) -> int:
    return sum(len(live.raw) for live in mirror.scope(Scope(namespace)).values())


def test_a_namespace_of_many_large_objects_is_held_to_its_budget_and_no_other_notices(watched: Mirror) -> None:
    for number in range(40):
        watched.apply(NETPOL, big("a", f"p{number}", 4000))
    watched.apply(NETPOL, big("b", "p", 4000))
    assert len(watched.scope(Scope("a"))) == 40
    assert held(watched, "a") < 10_000 + 40 * 500
    assert watched.abridged() == {(NETPOL, "a"): 38}
    (other,) = watched.scope(Scope("b")).values()
    assert not other.abridged


def test_what_is_abridged_is_still_known_to_be_another_version_and_whose_it_is(watched: Mirror) -> None:
    for number in range(4):
        watched.apply(NETPOL, big("a", f"p{number}", 4000))
    ref = NETPOL.ref("a", "p3")
    kept = watched.get(ref)
    assert kept is not None
    assert kept.abridged
    assert (kept.digest, kept.uid, kept.resource_version) == (b"d" * 16, "uid-p3", "1")
    metadata = kept.body()["metadata"]
    assert metadata["annotations"] == {"driftd.dev/condemned": "7"}
    assert (metadata["labels"], metadata["finalizers"]) == ({"app": "web"}, ["foreign/one"])


def test_where_there_is_room_again_an_object_that_was_read_is_kept_whole(watched: Mirror) -> None:
    for number in range(4):
        watched.apply(NETPOL, big("a", f"p{number}", 4000))
    assert not watched.correct(big("a", "p3", 4000)), "it is no news"
    assert watched.abridged() == {(NETPOL, "a"): 2}
    watched.bury(NETPOL.ref("a", "p0"), "uid-p0")
    watched.correct(big("a", "p3", 4000))
    assert watched.abridged() == {(NETPOL, "a"): 1}
    for number in (1, 2, 3):
        watched.bury(NETPOL.ref("a", f"p{number}"), f"uid-p{number}")
    assert watched.abridged() == {}


def test_a_namespace_beyond_its_budget_is_told_once_and_not_at_each_version_of_its_object(watched: Mirror) -> None:
    with capture_logs() as logs:
        for version in range(1, 6):
            watched.apply(NETPOL, big("a", "p", 20_000, version))
        watched.apply(NETPOL, big("a", "q", 20_000))
        told = [one["namespace"] for one in logs if one["event"] == "cluster.namespace.oversized"]
        assert told == ["a"]
        for name in "pq":
            watched.bury(NETPOL.ref("a", name), f"uid-{name}")
        watched.apply(NETPOL, big("a", "r", 20_000))
    told = [one["namespace"] for one in logs if one["event"] == "cluster.namespace.oversized"]
    assert told == ["a", "a"], "it was within its budget meanwhile"


def test_namespaces_are_always_whole(watched: Mirror) -> None:
    watched.apply(NAMESPACE, big("", "a", 40_000, resource=NAMESPACE))
    assert watched.abridged() == {}


def test_a_whole_list_is_held_back_as_it_is_read(watched: Mirror) -> None:
    reader = watched.listing(NETPOL)
    found = [reader.live(big("a", f"p{number}", 4000).raw) for number in range(40)]
    assert sum(len(live.raw) for live in found) < 10_000 + 40 * 500
    watched.replace_all(NETPOL, found, "9")
    assert watched.abridged() == {(NETPOL, "a"): 38}


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.resource.kind)
def test_what_is_left_can_be_read_as_no_object_of_any_kind(kind: object) -> None:
    live = abridged(big("a", "p", 5000))
    assert live.hollow
    body = live.body()
    if kind.resource.namespaced:  # type: ignore[attr-defined]
        with pytest.raises(MalformedObject):
            kind.covered(body, Coverage())  # type: ignore[attr-defined]


def test_a_little_content_is_kept_and_a_write_made_of_it_gets_back_what_is_foreign() -> None:
    whole = big("a", "p", 10)
    noted = replace(whole, kept=whole.raw.replace(b"y" * 100, b"y" * 9000).replace(b'"spec"', b'"secrets":[1],"spec"'))
    slim = abridged(noted)
    assert not slim.hollow
    assert len(slim.raw) < 500
    body = slim.body()
    del body["metadata"]["annotations"]["driftd.dev/condemned"]
    body["metadata"]["annotations"]["driftd.dev/model"] = "m"
    body["spec"] = {"podSelector": {}}
    del body["secrets"]
    written = completed(body, noted)
    assert written["metadata"]["annotations"] == {"driftd.dev/model": "m", "notes": "y" * 9000}
    assert written["metadata"]["finalizers"] == ["foreign/one"]
    assert (written["spec"], written["secrets"]) == ({"podSelector": {}}, [1])


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.integers(0, 3000)), max_size=30))
def test_the_account_is_that_of_what_is_kept(writes: list[tuple[str, int, int]]) -> None:
    clock = HandClock()
    mirror = Mirror(spec_digest, Pace(clock, clock.sleep, lambda: 0.5), namespace_bytes=5000)
    mirror.watch(NETPOL)
    for version, (namespace, name, size) in enumerate(writes, start=1):
        if size % 5:
            mirror.apply(NETPOL, big(namespace, f"p{name}", size, version))
        else:
            mirror.bury(NETPOL.ref(namespace, f"p{name}"), f"uid-p{name}")
    for namespace in "ab":
        lives = mirror.scope(Scope(namespace)).values()
        large = [len(live.raw) for live in lives if not live.abridged and len(live.raw) > LITTLE]
        assert sum(large) <= 5000
        assert mirror.abridged().get((NETPOL, namespace), 0) == sum(live.abridged for live in lives)


def test_without_end_means_without_end() -> None:
    budget = Budget(0)
    kept = budget.admit(big("a", "p", 10_000_000))
    assert kept is not None
    assert not kept.abridged


# -- what nobody needs -------------------------------------------------------------------------------------------------

ACCOUNT = Resource("", "v1", "ServiceAccount", "serviceaccounts")
MODELLED = ACCOUNT.ref("a", "web")


@pytest.fixture
def sparing(pace: Pace) -> Mirror:
    """A mirror that needs to know of one account only."""
    mirror = Mirror(spec_digest, pace, 100_000, lambda ref: ref.kind == "ServiceAccount" and ref != MODELLED)
    mirror.watch(ACCOUNT)
    mirror.watch(NETPOL)
    return mirror


def account(name: str, version: int = 1) -> Live:
    return big("a", name, 10, version, ACCOUNT)


def test_of_fifty_thousand_little_accounts_as_many_are_kept_as_fit_and_the_models_own_always(sparing: Mirror) -> None:
    """Seen: each took three kilobytes, and none was counted, since they were little."""
    for number in range(3000):
        sparing.apply(ACCOUNT, account(f"s{number}"))
    sparing.apply(ACCOUNT, account("web"))
    assert len(sparing.of_kind(ACCOUNT)) * (OVERHEAD + 300) < 110_000
    assert sparing.get(MODELLED) is not None
    assert sparing.left_out() == {(ACCOUNT, "a")}
    assert sparing.leaves_out(ACCOUNT.ref("a", "s2999"))
    assert not sparing.leaves_out(ACCOUNT.ref("a", "s0")), "it is here"
    assert not sparing.leaves_out(MODELLED)


def test_a_list_of_them_is_held_back_as_well_and_one_that_the_model_comes_to_name_is_taken(pace: Pace) -> None:
    named = {MODELLED}
    mirror = Mirror(spec_digest, pace, 100_000, lambda ref: ref not in named)
    mirror.watch(ACCOUNT)
    for number in range(5):
        mirror.apply(ACCOUNT, account(f"z{number}"))
    reader = mirror.listing(ACCOUNT)
    every = [account(f"s{number}") for number in range(3000)] + [account(f"z{number}") for number in range(5)]
    found = [reader.live(one.raw) for one in every]
    assert len({id(one) for one in found}) < 100
    mirror.replace_all(ACCOUNT, found, "9")
    for number in range(3000, 3020):  # the room of those that are gone
        mirror.apply(ACCOUNT, account(f"s{number}"))
    late = big("a", "z3", 1000, resource=ACCOUNT)
    for is_known in (False, True):
        mirror.correct(late)  # it is asked for by a GET where the model names it, for it is missed
        assert (mirror.get(late.ref) is not None) is is_known
        named.add(late.ref)


def test_a_look_at_all_that_meets_none_that_is_left_out_ends_it(sparing: Mirror) -> None:
    for number in range(200):
        sparing.apply(ACCOUNT, account(f"s{number}"))
    sparing.recount(ACCOUNT, {"a"})
    assert sparing.left_out() == {(ACCOUNT, "a")}
    sparing.recount(ACCOUNT, set())
    assert sparing.left_out() == frozenset()


def test_little_objects_that_are_needed_are_kept_whole_however_many_they_are(sparing: Mirror) -> None:
    for number in range(300):
        sparing.apply(NETPOL, big("a", f"p{number}", 10))
    lives = sparing.of_kind(NETPOL).values()
    assert len(lives) == 300
    assert not any(live.abridged for live in lives)
    sparing.apply(NETPOL, big("a", "large", 4000))
    assert sparing.abridged() == {(NETPOL, "a"): 1}, "what they take beside their content counts"
