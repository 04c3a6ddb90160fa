"""A write reaches exactly the object that was judged, or it does not happen, and its end is always known by name."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.cluster import FenceState, Mirror, NamespaceDeletion, Session, Writer
from driftd.cluster.answers import difference
from driftd.values import CONDEMNED, EPOCH, Condemn, Create, Delete, ObjectRef, Replace, Result
from tests.support.api_server import ApiServer, answer, reset, silence, status
from tests.support.cluster import NAMESPACE, NETPOL, POLICIES, policy

REF = ObjectRef(NETPOL.group, NETPOL.kind, "a", "x")
PATH = POLICIES.format("a", "x")


@dataclass
class Gate:
    leading: bool = True
    epoch: int = 4
    remaining: float = 9.0

    def __call__(self) -> FenceState:
        return FenceState(self.leading, self.epoch, self.remaining)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def writer(session: Session, mirror: Mirror, gate: Gate) -> Writer:
    mirror.watch(NETPOL)
    mirror.watch(NAMESPACE)
    return Writer(session, lambda ref: mirror.reader(mirror.resource_of(ref)), gate)


def create(**spec: Any) -> Create:
    return Create(REF, policy("a", "x", **spec), "f", "r")


def replace(server: ApiServer, **spec: Any) -> Replace:
    meta = server.objects[PATH]["metadata"]
    return Replace(REF, policy("a", "x", **spec), meta["uid"], meta["resourceVersion"], "f", "r")


async def test_a_created_object_carries_the_epoch_and_comes_back_as_sent(server: ApiServer, writer: Writer) -> None:
    done = await writer.execute(create(policyTypes=["Egress"]), 4)
    assert (done.result, done.live is not None) == (Result.DONE, True)
    assert server.objects[PATH]["metadata"]["annotations"] == {EPOCH: "4"}
    assert server.seen == [
        "POST /apis/networking.k8s.io/v1/namespaces/a/networkpolicies?fieldManager=driftd&fieldValidation=Strict"
    ]


async def test_a_replacement_is_bound_to_uid_and_version_and_drops_the_mark_of_the_condemned(
    server: ApiServer, writer: Writer
) -> None:
    server.put(PATH, policy("a", "x", egress=[{}]))
    write = replace(server)
    write.body["metadata"]["annotations"] = {CONDEMNED: "1", "theirs": "kept"}
    assert (await writer.execute(write, 4)).result is Result.DONE
    _, _, sent = server.bodies[-1]
    assert (sent["metadata"]["uid"], sent["metadata"]["resourceVersion"]) == (write.uid, write.resource_version)
    assert server.objects[PATH]["metadata"]["annotations"] == {EPOCH: "4", "theirs": "kept"}


async def test_an_object_that_moved_on_is_a_conflict_and_stays_as_it_is(server: ApiServer, writer: Writer) -> None:
    server.put(PATH, policy("a", "x"))
    write = replace(server, policyTypes=["Ingress"])
    server.put(PATH, policy("a", "x", egress=[{}]))
    assert (await writer.execute(write, 4)).result is Result.CONFLICT
    assert server.objects[PATH]["spec"]["egress"] == [{}]
    assert len(server.seen) == 1


async def test_an_unbound_replacement_hits_the_object_of_its_uid_whatever_its_version(
    server: ApiServer, writer: Writer
) -> None:
    server.put(PATH, policy("a", "x", egress=[{}]))
    write = replace(server, policyTypes=["Ingress"])
    server.put(PATH, policy("a", "x", egress=[{}]))
    assert (await writer.execute(write, 4, unbound=True)).result is Result.DONE
    assert "egress" not in server.objects[PATH]["spec"]
    server.remove(PATH)
    server.put(PATH, policy("a", "x", egress=[{}]))
    assert (await writer.execute(write, 4, unbound=True)).result is Result.CONFLICT
    assert server.objects[PATH]["spec"]["egress"] == [{}]


async def test_a_put_on_a_vanished_object_is_a_conflict_and_creates_nothing(server: ApiServer, writer: Writer) -> None:
    server.put(PATH, policy("a", "x"))
    write = replace(server)
    server.remove(PATH)
    assert (await writer.execute(write, 4)).result is Result.CONFLICT
    assert server.objects == {}


async def test_a_create_of_what_exists_is_a_conflict(server: ApiServer, writer: Writer) -> None:
    server.put(PATH, policy("a", "x"))
    assert (await writer.execute(create(), 4)).result is Result.CONFLICT


async def test_condemning_and_deleting_hit_one_very_version(server: ApiServer, writer: Writer) -> None:
    server.put(PATH, policy("a", "x", egress=[{}]))
    r = replace(server)
    condemned = await writer.execute(Condemn(REF, r.body, r.uid, r.resource_version, "f", "r"), 4)
    assert condemned.live is not None
    assert server.objects[PATH]["metadata"]["annotations"] == {EPOCH: "4", CONDEMNED: "4"}
    stale = Delete(REF, r.uid, r.resource_version, "f", "r")
    assert (await writer.execute(stale, 4)).result is Result.CONFLICT
    exact = Delete(REF, r.uid, condemned.live.resource_version, "f", "r")
    assert (await writer.execute(exact, 4)).result is Result.DONE
    assert server.objects == {}


async def test_an_object_held_by_a_finalizer_is_not_called_deleted(server: ApiServer, writer: Writer) -> None:
    body = policy("a", "x")
    body["metadata"]["finalizers"] = ["foreign/hold"]
    stored = server.put(PATH, body)["metadata"]
    held = await writer.execute(Delete(REF, stored["uid"], stored["resourceVersion"], "f", "r"), 4)
    assert held.result is Result.DIFFERS
    assert held.live is not None
    assert held.live.terminating


@pytest.mark.parametrize(
    ("code", "reason", "result"),
    [
        (403, "Forbidden", Result.REFUSED),
        (422, "Invalid", Result.REFUSED),
        (400, "BadRequest", Result.REFUSED),
        (429, "TooManyRequests", Result.FAILED),
        (500, "InternalError", Result.FAILED),
        (503, "ServiceUnavailable", Result.FAILED),
        (504, "Timeout", Result.UNKNOWN),
        (409, "Conflict", Result.CONFLICT),
    ],
)
async def test_each_refusal_has_its_result(
    server: ApiServer, writer: Writer, code: int, reason: str, result: Result
) -> None:
    server.fail("POST", "networkpolicies", answer(code, status(code, reason, "no"), Retry_After="3"))
    ended = await writer.execute(create(), 4)
    assert ended.result is result
    assert ended.retry_after == 3.0
    assert len(server.seen) == 1


NO_ROOM = [
    (500, "", "etcdserver: request is too large"),
    (
        500,
        "",
        "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2097241 vs. 2097152)",
    ),
    (413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728"),
]
"""What kube-apiserver 1.36 answers to an object of 1.6, 2.1 and 3.2 MB."""


@pytest.mark.parametrize(("code", "reason", "words"), NO_ROOM)
async def test_an_object_that_is_too_large_is_written_without_what_is_foreign_to_it(
    server: ApiServer, writer: Writer, code: int, reason: str, words: str
) -> None:
    server.put(PATH, policy("a", "x", egress=[{}]))
    server.fail("PUT", "networkpolicies", answer(code, status(code, reason, words)))
    write = replace(server)
    write.body["metadata"]["labels"] = {"theirs": "x", "driftd.dev/tenant": "acme"}
    ended = await writer.execute(write, 4)
    assert (ended.result, ended.message) == (Result.DONE, "without 1 labels, 0 annotations")
    stored = server.objects[PATH]["metadata"]
    assert (stored["labels"], stored["annotations"]) == ({"driftd.dev/tenant": "acme"}, {EPOCH: "4"})
    server.fail("PUT", "networkpolicies", answer(code, status(code, reason, words)))
    gone = replace(server)
    gone.body["metadata"]["labels"] = {"theirs": "x", "driftd.dev/tenant": "acme"}
    assert (await writer.execute(Condemn(REF, gone.body, gone.uid, gone.resource_version, "f", "r"), 4)).live
    assert "labels" not in server.objects[PATH]["metadata"]


@pytest.mark.parametrize(("code", "reason", "words"), NO_ROOM)
async def test_an_object_that_is_too_large_all_the_same_is_refused(
    server: ApiServer, writer: Writer, code: int, reason: str, words: str
) -> None:
    """Seen: a hole filled to the last byte was a failure for ever, and nothing told that driftd could not close it."""
    server.put(PATH, policy("a", "x", egress=[{}]))
    server.fail("PUT", "networkpolicies", answer(code, status(code, reason, words)), times=2)
    write = replace(server)
    write.body["metadata"]["labels"] = {"theirs": "x"}
    ended = await writer.execute(write, 4)
    assert ended.result is Result.REFUSED
    assert words[:30] in ended.message
    assert "take finalizers, labels or annotations off it" in ended.message


async def test_a_namespace_that_is_too_large_keeps_its_labels_and_is_refused(server: ApiServer, writer: Writer) -> None:
    home = ObjectRef("", "Namespace", "", "acme")
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "acme", "labels": {"team": "web"}}}
    server.fail("PUT", "namespaces", answer(500, status(500, "", "etcdserver: request is too large")))
    assert (await writer.execute(Replace(home, body, "u", "1", "f", "r"), 4)).result is Result.REFUSED
    assert len(server.seen) == 1


async def test_a_refusal_by_the_fencing_policy_means_that_a_newer_epoch_rules(
    server: ApiServer, writer: Writer
) -> None:
    words = "ValidatingAdmissionPolicy 'driftd-fence' with binding 'driftd-fence' denied request: epoch 4 is over"
    server.fail("POST", "networkpolicies", answer(422, status(422, "Invalid", words)))
    assert (await writer.execute(create(), 4)).result is Result.FENCED


@pytest.mark.parametrize("fault", [silence, reset])
async def test_no_answer_is_unknown_and_not_sent_again(
    server: ApiServer, writer: Writer, gate: Gate, fault: Any
) -> None:
    gate.remaining = 0.6
    server.fail("POST", "networkpolicies", fault, times=3)
    assert (await writer.execute(create(), 4)).result is Result.UNKNOWN
    assert len(server.seen) == 1


@pytest.mark.parametrize("lost", [{"leading": False}, {"remaining": 0.1}, {"epoch": 5}])
async def test_without_the_lease_nothing_leaves(server: ApiServer, writer: Writer, gate: Gate, lost: Any) -> None:
    for name, value in lost.items():
        setattr(gate, name, value)
    assert (await writer.execute(create(), 4)).result is Result.FENCED
    assert server.seen == []


async def test_a_default_that_the_server_learned_is_named(server: ApiServer, writer: Writer) -> None:
    def learn(body: dict[str, Any]) -> None:
        body["spec"]["flavour"] = "vanilla"
        body["spec"].setdefault("egress", [{}])[0]["mode"] = "x"

    server.defaults = learn
    ended = await writer.execute(create(egress=[{"to": []}]), 4)
    assert ended.result is Result.DIFFERS
    assert ended.defaulted
    assert ended.added == ("spec.egress[0].mode", "spec.flavour")


async def test_what_comes_back_changed_is_no_default(server: ApiServer, writer: Writer) -> None:
    def mutate(body: dict[str, Any]) -> None:
        body["spec"]["policyTypes"] = ["Ingress", "Egress"]

    server.defaults = mutate
    ended = await writer.execute(create(policyTypes=["Egress"]), 4)
    assert ended.result is Result.DIFFERS
    assert not ended.defaulted
    assert ended.changed


async def test_a_dry_run_stores_nothing_and_needs_no_lease(server: ApiServer, writer: Writer, gate: Gate) -> None:
    gate.leading = False
    server.defaults = lambda body: body["spec"].update(flavour="vanilla")
    ended = await writer.learn(NETPOL, policy("a", "x"), 4)
    assert ended.defaulted
    assert ended.live is None
    assert server.objects == {}


@pytest.mark.parametrize("kind", [Condemn, Delete])
async def test_a_namespace_can_not_be_deleted(server: ApiServer, writer: Writer, kind: Any) -> None:
    ref = ObjectRef("", "Namespace", "", "acme")
    write = Delete(ref, "u", "1", "f", "r") if kind is Delete else Condemn(ref, {}, "u", "1", "f", "r")
    with pytest.raises(NamespaceDeletion):
        await writer.execute(write, 4)
    assert server.seen == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["spec", "data"]), json_values))
def test_an_object_does_not_differ_from_itself(body: dict[str, Any]) -> None:
    assert difference(body, body) == difference({}, {})


@given(st.dictionaries(st.sampled_from(["spec", "data"]), json_values), st.integers())
def test_a_field_that_was_not_sent_is_added_and_one_that_is_lost_is_changed(body: dict[str, Any], value: int) -> None:
    more = {**body, "extra": value}
    assert difference(body, more).added == ("extra",)
    assert difference(more, body).changed == ("extra",)


def test_true_is_not_one() -> None:
    assert difference({"spec": {"a": True}}, {"spec": {"a": 1}}).changed == ("spec.a",)
