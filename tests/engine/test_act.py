"""What others keep writing is written as it stands by now, and never another object than the one that was judged."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from driftd.cluster import Answer
from driftd.engine.act import Actor, Acts
from driftd.policy.kinds import NAMESPACE_NAME, Coverage, digest_of, kind_of
from driftd.telemetry import Metrics, Traces
from driftd.values import (
    CONDEMNED,
    Body,
    Condemn,
    Finding,
    Intent,
    Live,
    ObjectRef,
    Plan,
    Replace,
    Result,
    Write,
    scope_of,
)
from tests.support.records import SteppingClock

HOME = ObjectRef("", "Namespace", "", "acme-prod")
POLICY = ObjectRef("networking.k8s.io", "NetworkPolicy", "acme-prod", "hole")


@dataclass
class Cluster:
    """One object as a GET shows it (None: gone), and the writes that were sent with whether they name no version.

    `answers` are those to come, DONE where there are no more. `news` is the commit that comes into force with a GET.
    """

    there: Live | None
    sent: list[tuple[Write, bool]] = field(default_factory=list)
    commit: str = "a"
    news: str = "a"
    durable: bool = True

    async def refresh(self, _ref: ObjectRef) -> Live | None:
        self.commit = self.news
        return self.there

    def absorb(self, live: Live) -> None:
        self.there = live

    async def execute(self, write: Write, _epoch: int, *, unbound: bool) -> Answer:
        self.sent.append((write, unbound))
        return Answer(Result.DONE)

    async def begin(self, opened: Sequence[Finding], intents: Sequence[Intent]) -> None:
        """The store's part: nothing is asked of it here."""


def live(ref: ObjectRef, version: str, metadata: Body, **rest: Any) -> Live:
    kind = kind_of(ref)
    body = {"apiVersion": kind.resource.api_version, "kind": ref.kind, **rest}
    body["metadata"] = {
        "name": ref.name,
        "namespace": ref.namespace,
        "uid": "u",
        "resourceVersion": version,
        **metadata,
    }
    digest = digest_of(kind, body, Coverage())
    return Live(ref, orjson.dumps(body), digest, "u", version, terminating=False, managers=())


async def act(
    cluster: Cluster, write: Write, *, abridged: bool = False, contested: bool = True, tolerant: bool = False
) -> Acts:
    parts: Any = cluster
    actor = Actor(
        writer=parts,
        store=parts,
        observer=parts,
        clock=SteppingClock(),
        metrics=Metrics(),
        new_id=lambda: "i",
        epoch=lambda: 4,
        commit=lambda: cluster.commit,
        coverage=Coverage,
        told=lambda _write, _live: None,
    )
    return await actor.execute(
        Plan(scope_of(write.ref), (write,)),
        (),
        Traces().begin("driftd.reconcile", {}),
        abridged={write.ref} if abridged else (),
        contested={write.ref} if contested else (),
        tolerant=tolerant,
    )


def put(judged: Live, **labels: str) -> Replace:
    wanted = judged.body()
    wanted["metadata"]["labels"] = labels
    body = kind_of(judged.ref).merged(judged.body(), wanted, Coverage())
    return Replace(judged.ref, body, judged.uid, judged.resource_version, "f", "r")


async def test_a_contested_namespace_is_put_back_at_the_version_there_is_with_the_labels_of_others() -> None:
    judged = live(HOME, "1", {"labels": {"driftd.dev/tenant": "mallory", "team": "web"}})
    cluster = Cluster(live(HOME, "7", {"labels": {"driftd.dev/tenant": "eve", "team": "shop"}, "finalizers": ["a/b"]}))
    acts = await act(cluster, put(judged, **{"driftd.dev/tenant": "acme"}))
    ((sent, unbound),) = cluster.sent
    assert isinstance(sent, Replace)
    assert (sent.resource_version, unbound) == ("7", False)
    assert sent.body["metadata"]["labels"] == {
        "driftd.dev/tenant": "acme",
        "team": "shop",
        NAMESPACE_NAME: "acme-prod",
    }
    assert sent.body["metadata"]["finalizers"] == ["a/b"]
    assert [one.message for one in acts.outcomes] == ["at version 7"]


async def test_a_contested_hole_is_emptied_as_it_is_by_now_whatever_its_version() -> None:
    spec: Body = {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], "ingress": [{}]}
    judged = live(POLICY, "1", {}, spec={**spec, "podSelector": {}})
    cluster = Cluster(live(POLICY, "7", {"finalizers": ["a/b"], "annotations": {"notes": "x"}}, spec=spec))
    body = kind_of(POLICY).emptied(judged.body())
    body["metadata"]["annotations"] = {CONDEMNED: "4"}
    condemn = Condemn(POLICY, body, "u", "1", "f", "r")
    acts = await act(cluster, condemn)
    ((sent, unbound),) = cluster.sent
    assert isinstance(sent, Condemn)
    assert unbound
    assert sent.body["spec"] == {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]}
    assert sent.body["metadata"]["finalizers"] == ["a/b"]
    assert sent.body["metadata"]["annotations"] == {"notes": "x"}
    assert [one.message for one in acts.outcomes] == ["by uid u, read at version 7"]


async def test_an_object_that_nobody_contests_is_written_as_it_was_judged() -> None:
    write = put(live(HOME, "1", {"labels": {"team": "web"}}))
    cluster = Cluster(live(HOME, "7", {"labels": {"team": "shop"}}))
    await act(cluster, write, abridged=True, contested=False)
    assert cluster.sent == [(write, False)]


HOLE: Body = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}


def doom(judged: Live) -> Condemn:
    return Condemn(
        judged.ref, kind_of(judged.ref).emptied(judged.body()), judged.uid, judged.resource_version, "f", "r"
    )


async def test_a_contested_object_that_was_made_anew_is_emptied_and_put_back_as_that_of_its_name() -> None:
    """Seen: who created and deleted a hole all the time had each write name a uid that was gone."""
    judged = live(POLICY, "1", {}, spec=HOLE)
    cluster = Cluster(replace(live(POLICY, "7", {}, spec=HOLE), uid="anew"))
    for write in (doom(judged), put(judged)):
        acts = await act(cluster, write)
        assert [one.message for one in acts.outcomes] == ["by uid anew, read at version 7"]
    assert [(one.uid, unbound) for one, unbound in cluster.sent if isinstance(one, Condemn | Replace)] == [
        ("anew", True)
    ] * 2


async def test_another_object_of_the_name_is_judged_anew_where_it_may_stand_or_its_labels_decide_something() -> None:
    hole, home = live(POLICY, "1", {}, spec=HOLE), live(HOME, "1", {})
    for write, tolerant in ((doom(hole), True), (put(home), False)):
        there = live(write.ref, "7", {}, spec=HOLE)
        for found in (replace(there, uid="anew"), None):
            cluster = Cluster(found)
            acts = await act(cluster, write, tolerant=tolerant)
            assert cluster.sent == []
            assert [one.result for one in acts.outcomes] == [Result.CONFLICT]
            assert "not sent" in acts.outcomes[0].message


async def test_what_another_model_may_forbid_by_now_is_not_sent_after_a_slow_read() -> None:
    """The looser body of the model before went out on a fresh version."""
    for contested, abridged in ((True, False), (False, True)):
        cluster = Cluster(live(POLICY, "1", {}, spec=HOLE), news="b")
        acts = await act(cluster, put(live(POLICY, "1", {}, spec=HOLE)), contested=contested, abridged=abridged)
        assert cluster.sent == []
        assert acts.stopped_by is None, "it is no failure of the object's: the next look plans anew"
        assert [(one.result, "not sent" in one.message) for one in acts.outcomes] == [(Result.FAILED, True)]


async def test_a_contested_cut_takes_away_from_what_there_is_by_now() -> None:
    """A cut selects no less than it finds: one of another version may let go of pods that are isolated now."""
    web = {"matchLabels": {"app": "web"}}
    judged = live(POLICY, "1", {}, spec={**HOLE, "podSelector": web})
    cut = replace(
        put(judged), body={**judged.body(), "spec": {**HOLE, "podSelector": web, "ingress": []}}, interim=True
    )
    cluster = Cluster(live(POLICY, "7", {}, spec={**HOLE, "policyTypes": ["Egress", "Ingress"]}))
    await act(cluster, cut)
    ((sent, unbound),) = cluster.sent
    assert isinstance(sent, Replace)
    spec = kind_of(POLICY).covered(sent.body, Coverage())["spec"]
    assert (spec["podSelector"], spec["policyTypes"], spec["ingress"]) == ({}, ["Egress", "Ingress"], [])
    assert unbound, "bound to a version it lost to those who only note something there, for half a minute"


class Answering(Cluster):
    async def execute(self, write: Write, _epoch: int, *, unbound: bool) -> Answer:
        del write, unbound
        return Answer(Result.DONE, live(POLICY, "2", {}, spec=HOLE))


async def test_what_only_closes_an_object_is_half_a_repair() -> None:
    judged = live(POLICY, "1", {}, spec=HOLE)
    for write, half in ((put(judged), False), (replace(put(judged), interim=True), True), (doom(judged), True)):
        acts = await act(Answering(judged), write, contested=False)
        assert (acts.repaired, acts.half) == ({POLICY: 1}, {POLICY: "2" if half else ""})


async def test_a_large_contested_object_is_written_without_what_is_foreign() -> None:
    """Seen: four clients that noted something at a hole with 3,000 labels kept it open; each PUT took seconds there."""
    spec: Body = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
    labels = {f"label-{number}": "v" * 60 for number in range(1000)}
    judged = live(POLICY, "1", {"labels": labels}, spec=spec)
    cluster = Cluster(
        live(POLICY, "7", {"labels": labels, "annotations": {"notes": "x"}, "finalizers": ["a/b"]}, spec=spec)
    )
    condemn = Condemn(POLICY, kind_of(POLICY).emptied(judged.body()), "u", "1", "f", "r")
    for write in (condemn, put(judged)):
        acts = await act(cluster, write)
        assert acts.outcomes[0].message == "by uid u, read at version 7, without 1000 labels, 1 annotations"
    for sent, _ in cluster.sent:
        assert isinstance(sent, Condemn | Replace)
        assert "labels" not in sent.body["metadata"]
        assert sent.body["metadata"]["finalizers"] == ["a/b"]
