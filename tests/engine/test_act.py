"""What others keep writing is written as it stands by now, and never another object than the one that was judged."""

from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from driftd.cluster import Answer
from driftd.engine.act import Actor
from driftd.policy.kinds import NAMESPACE_NAME, Coverage, digest_of, kind_of
from driftd.store import StoreGone
from driftd.telemetry import Metrics, Traces
from driftd.values import (
    CONDEMNED,
    Body,
    Condemn,
    Create,
    Delete,
    Live,
    ObjectRef,
    Plan,
    Replace,
    Result,
    Scope,
    Write,
)
from tests.support.records import SteppingClock, finding
from tests.support.spans import InMemory

HOME = ObjectRef("", "Namespace", "", "acme-prod")
POLICY = ObjectRef("networking.k8s.io", "NetworkPolicy", "acme-prod", "hole")


@dataclass
class Cluster:
    """One object as a GET shows it, and the writes that were sent with whether they name no version."""

    there: Live
    sent: list[tuple[Write, bool]] = field(default_factory=list)
    answer: Answer = field(default_factory=lambda: Answer(Result.DONE))
    durable: bool = True

    async def refresh(self, _ref: ObjectRef) -> Live:
        return self.there

    async def execute(self, write: Write, _epoch: int, *, unbound: bool) -> Answer:
        self.sent.append((write, unbound))
        return self.answer

    async def begin(self, _opened: object, _intents: object) -> None: ...

    def absorb(self, _live: Live) -> None: ...


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


def actor(cluster: Cluster) -> Actor:
    parts: Any = cluster
    return Actor(
        writer=parts,
        store=parts,
        observer=parts,
        clock=SteppingClock(),
        metrics=Metrics(),
        new_id=lambda: "intent",
        epoch=lambda: 4,
        commit=lambda: "c1",
        coverage=Coverage,
        told=lambda _write, _live: None,
    )


class FullStore:
    """Its database is away and its journal takes nothing more."""

    durable = False

    async def begin(self, _findings: object, _intents: object) -> None:
        raise StoreGone("a record", "the journal is full")


def put(judged: Live, **labels: str) -> Replace:
    wanted = judged.body()
    wanted["metadata"]["labels"] = labels
    body = kind_of(judged.ref).merged(judged.body(), wanted, Coverage())
    return Replace(judged.ref, body, judged.uid, judged.resource_version, "f", "r")


async def test_a_contested_namespace_is_put_back_at_the_version_there_is_with_the_labels_of_others() -> None:
    judged = live(HOME, "1", {"labels": {"driftd.dev/tenant": "mallory", "team": "web"}})
    cluster = Cluster(live(HOME, "7", {"labels": {"driftd.dev/tenant": "eve", "team": "shop"}, "finalizers": ["a/b"]}))
    await actor(cluster)._write(put(judged, **{"driftd.dev/tenant": "acme"}), 4, abridged=False, contested=True)
    ((sent, unbound),) = cluster.sent
    assert isinstance(sent, Replace)
    assert (sent.resource_version, unbound) == ("7", False)
    assert sent.body["metadata"]["labels"] == {
        "driftd.dev/tenant": "acme",
        "team": "shop",
        NAMESPACE_NAME: "acme-prod",
    }
    assert sent.body["metadata"]["finalizers"] == ["a/b"]


async def test_a_contested_hole_is_emptied_as_it_is_by_now_whatever_its_version() -> None:
    spec: Body = {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], "ingress": [{}]}
    judged = live(POLICY, "1", {}, spec={**spec, "podSelector": {}})
    cluster = Cluster(live(POLICY, "7", {"finalizers": ["a/b"], "annotations": {"notes": "x"}}, spec=spec))
    body = kind_of(POLICY).emptied(judged.body())
    body["metadata"]["annotations"] = {CONDEMNED: "4"}
    condemn = Condemn(POLICY, body, "u", "1", "f", "r")
    await actor(cluster)._write(condemn, 4, abridged=False, contested=True)
    ((sent, unbound),) = cluster.sent
    assert isinstance(sent, Condemn)
    assert unbound
    assert sent.body["spec"] == {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]}
    assert sent.body["metadata"]["finalizers"] == ["a/b"]
    assert sent.body["metadata"]["annotations"] == {"notes": "x"}


@pytest.mark.parametrize("contested", [False, True])
async def test_an_object_of_another_uid_or_one_that_nobody_contests_is_written_as_it_was_judged(
    *, contested: bool
) -> None:
    judged = live(HOME, "1", {"labels": {"team": "web"}})
    there = live(HOME, "7", {"labels": {"team": "shop"}})
    cluster = Cluster(replace(there, uid="another") if contested else there)
    write = put(judged)
    await actor(cluster)._write(write, 4, abridged=False, contested=contested)
    assert cluster.sent == [(write, False)]


async def test_a_large_contested_object_is_written_without_what_is_foreign() -> None:
    """Seen: four clients that noted something at a hole with 3,000 labels kept it open; each PUT took seconds there."""
    spec: Body = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
    labels = {f"label-{number}": "v" * 60 for number in range(1000)}
    judged = live(POLICY, "1", {"labels": labels}, spec=spec)
    cluster = Cluster(live(POLICY, "7", {"labels": labels, "finalizers": ["a/b"]}, spec=spec))
    condemn = Condemn(POLICY, kind_of(POLICY).emptied(judged.body()), "u", "1", "f", "r")
    for write in (condemn, put(judged)):
        await actor(cluster)._write(write, 4, abridged=False, contested=True)
    for sent, _ in cluster.sent:
        assert isinstance(sent, Condemn | Replace)
        assert "labels" not in sent.body["metadata"]
        assert sent.body["metadata"]["finalizers"] == ["a/b"]


async def test_a_write_tells_from_which_version_of_the_object_to_which_it_went() -> None:
    judged, spans = live(HOME, "1", {"labels": {"team": "web"}}), InMemory()
    cluster = Cluster(live(HOME, "7", {"labels": {"team": "web"}}))
    cluster.answer = Answer(Result.DONE, live(HOME, "8", {}))
    create = Create(POLICY, {}, "f", "r")
    for contested in ((), (HOME,)):
        trace = Traces(spans).begin("driftd.reconcile", {})
        trace.keep()
        plan = Plan(Scope("acme-prod"), (put(judged), *([] if contested else [create])))
        await actor(cluster).execute(plan, (), trace, abridged=(), contested=contested)
    before, after = "driftd.object.resource_version.before", "driftd.object.resource_version.after"
    told = [(one.attributes.get(before), one.attributes.get(after)) for one in spans.made if one.name == "driftd.write"]
    assert told == [("1", "8"), (None, "8"), ("7", "8")], "a contested object is written as it stood just before"


async def test_where_nothing_can_be_recorded_what_restores_is_written_and_the_final_delete_waits() -> None:
    spec: Body = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
    home, hole = live(HOME, "1", {"labels": {"team": "web"}}), live(POLICY, "1", {}, spec=spec)
    cluster, metrics = Cluster(home), Metrics()
    parts: Any = cluster
    store: Any = FullStore()
    writes = (
        put(home, **{"driftd.dev/tenant": "acme"}),
        Condemn(POLICY, kind_of(POLICY).emptied(hole.body()), "u", "1", "f", "r"),
        Delete(POLICY, "u", "", "f", "r"),
    )
    one = Actor(
        writer=parts,
        store=store,
        observer=parts,
        clock=SteppingClock(),
        metrics=metrics,
        new_id=iter("12345").__next__,
        epoch=lambda: 4,
        commit=lambda: "dir:1",
        coverage=Coverage,
        told=lambda *_: None,
    )
    plan, trace = Plan(Scope("acme-prod"), writes), Traces().begin("driftd.reconcile", {})
    with capture_logs() as logs:
        acts = await one.execute(plan, [finding()], trace, abridged=(), contested=())
    assert [type(write) for write, _ in cluster.sent] == [Replace, Condemn]
    assert acts.waiting_for_store
    assert (
        metrics.registry.get_sample_value(
            "driftd_writes_total", {"kind": "NetworkPolicy", "verb": "condemn", "result": "done"}
        )
        == 1
    )
    (said,) = [entry for entry in logs if entry["event"] == "store.not_recorded"]
    assert len(said["writes"]) == len(cluster.sent)
