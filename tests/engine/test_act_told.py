"""What a plan's writes tell as they go: in spans, in the log, and in evidence where there is room for it."""

from dataclasses import dataclass, field
from typing import Any

import orjson
from structlog.testing import capture_logs

from driftd.cluster import Answer
from driftd.engine.act import Actor
from driftd.policy.kinds import Coverage, digest_of, kind_of
from driftd.store import StoreGone
from driftd.telemetry import Metrics, Traces
from driftd.values import Body, Condemn, Create, Delete, Live, ObjectRef, Plan, Replace, Result, Scope, Write
from tests.support.records import SteppingClock, finding
from tests.support.spans import InMemory

HOME = ObjectRef("", "Namespace", "", "acme-prod")
POLICY = ObjectRef("networking.k8s.io", "NetworkPolicy", "acme-prod", "hole")
SCOPE = Scope("acme-prod")


@dataclass
class Cluster:
    """One object as a GET shows it, the answer to each write, and the writes; as the store it takes everything."""

    there: Live
    answer: Answer = field(default_factory=lambda: Answer(Result.DONE))
    sent: list[Write] = field(default_factory=list)
    durable: bool = True

    async def refresh(self, _ref: ObjectRef) -> Live:
        return self.there

    async def execute(self, write: Write, _epoch: int, *, unbound: bool) -> Answer:
        self.sent.append(write)
        return self.answer

    async def begin(self, _opened: object, _intents: object) -> None: ...

    def absorb(self, _live: Live) -> None: ...


class FullStore:
    """Its database is away and its journal takes nothing more."""

    durable = False

    async def begin(self, _findings: object, _intents: object) -> None:
        raise StoreGone("a record", "the journal is full")


def live(ref: ObjectRef, version: str, **rest: Any) -> Live:
    kind = kind_of(ref)
    metadata = {"name": ref.name, "namespace": ref.namespace, "uid": "u", "resourceVersion": version}
    body = {"apiVersion": kind.resource.api_version, "kind": ref.kind, "metadata": metadata, **rest}
    digest = digest_of(kind, body, Coverage())
    return Live(ref, orjson.dumps(body), digest, "u", version, terminating=False, managers=())


def put(judged: Live) -> Replace:
    return Replace(judged.ref, judged.body(), judged.uid, judged.resource_version, "f", "r")


def actor(cluster: Cluster, metrics: Metrics, store: object = None) -> Actor:
    parts: Any = cluster
    recording: Any = store or cluster
    return Actor(
        writer=parts,
        store=recording,
        observer=parts,
        clock=SteppingClock(),
        metrics=metrics,
        new_id=iter("123456789").__next__,
        epoch=lambda: 4,
        commit=lambda: "dir:1",
        coverage=Coverage,
        told=lambda *_: None,
    )


async def test_a_write_tells_from_which_version_of_the_object_to_which_it_went() -> None:
    judged, spans = live(HOME, "1"), InMemory()
    cluster = Cluster(live(HOME, "7"), Answer(Result.DONE, live(HOME, "8")))
    for contested, more in ((), (Create(POLICY, {}, "f", "r"),)), ((HOME,), ()):
        trace = Traces(spans).begin("driftd.reconcile", {})
        trace.keep()
        plan = Plan(SCOPE, (put(judged), *more))
        await actor(cluster, Metrics()).execute(plan, (), trace, abridged=(), contested=contested, tolerant=False)
    before, after = "driftd.object.resource_version.before", "driftd.object.resource_version.after"
    told = [(one.attributes.get(before), one.attributes.get(after)) for one in spans.made if one.name == "driftd.write"]
    assert told == [("1", "8"), (None, "8"), ("7", "8")], "a contested object is written as it stood just before"


async def test_where_nothing_can_be_recorded_what_restores_is_written_and_the_final_delete_waits() -> None:
    spec: Body = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
    hole, metrics = live(POLICY, "1", spec=spec), Metrics()
    cluster = Cluster(live(HOME, "1"))
    writes = (
        put(cluster.there),
        Condemn(POLICY, kind_of(POLICY).emptied(hole.body()), "u", "1", "f", "r"),
        Delete(POLICY, "u", "", "f", "r"),
    )
    trace = Traces().begin("driftd.reconcile", {})
    with capture_logs() as logs:
        one = actor(cluster, metrics, FullStore())
        acts = await one.execute(Plan(SCOPE, writes), [finding()], trace, abridged=(), contested=(), tolerant=False)
    assert [type(write) for write in cluster.sent] == [Replace, Condemn]
    assert acts.waiting_for_store
    labels = {"kind": "NetworkPolicy", "verb": "condemn", "result": "done"}
    assert metrics.registry.get_sample_value("driftd_writes_total", labels) == 1
    (said,) = [entry for entry in logs if entry["event"] == "store.not_recorded"]
    assert len(said["writes"]) == len(cluster.sent)
