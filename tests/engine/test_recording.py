"""What is written down of a cycle: what got worse while open, what stays open, and who closed it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from driftd.drift import Comparison, FightBreaker, Judgement, compare
from driftd.engine import InForce, Meaning, OpenFindings
from driftd.engine.recording import Recording
from driftd.engine.work import Work
from driftd.store import Past, Store
from driftd.telemetry import Metrics, Traces
from driftd.values import Body, Direction, Finding, ObjectRef, Scope, Witness
from tests.support.drift_scope import (
    HOME,
    NAME,
    TODAY,
    compiled_of,
    governed_of,
    namespace,
    policy,
    policy_ref,
    scope_of_bodies,
)
from tests.support.spans import InMemory

DENY: Body = {"podSelector": {}, "policyTypes": ["Egress", "Ingress"]}
FLOW = Witness("acme-prod/web", "globex-prod/db", "TCP", "5432")
MODEL = [namespace(), policy("default-deny", DENY)]
GOVERNED = governed_of(MODEL)
COMPILED = compiled_of(GOVERNED)


class Clock:
    def now(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC)

    def monotonic(self) -> float:
        return 100.0


def look(*live: Body, gone: bool = False) -> Comparison:
    absent = frozenset({HOME, *GOVERNED.objects}) if gone else frozenset()
    return compare(COMPILED, GOVERNED, scope_of_bodies(live, proved_absent=absent), TODAY)


def opened(**spec: object) -> Body:
    return policy("default-deny", {**DENY, **spec})


class Scene:
    """A recording on a real store."""

    def __init__(self, store: Store) -> None:
        self.store, metrics = store, Metrics()

        async def judged(_finding: Finding) -> None:
            return

        self.meaning = Meaning(compiled=lambda: COMPILED, policies=0, judged=judged, decided=lambda _scope: None)
        self.recording = Recording(
            in_force=lambda: InForce(COMPILED, "c1"),
            store=store,
            findings=OpenFindings(metrics),
            breaker=FightBreaker(),
            meaning=self.meaning,
            clock=Clock(),
            metrics=metrics,
        )

    async def cycle(self, *looks: Comparison, raced: ObjectRef | None = None) -> list[str]:
        """One cycle that looks so often and writes nothing; the events it logs of findings."""
        work = Work(Traces().begin("driftd.reconcile", {}), 99.0)
        work.raced = frozenset({raced} if raced else ())
        with capture_logs() as logs:
            for comparison in looks:
                await self.recording.begin(self.recording.open_fresh(comparison, work))
            await self.recording.conclude(looks[-1], work)
        return [entry["event"] for entry in logs if entry["event"].startswith("drift.")]

    async def lives(self, name: str) -> list[Past]:
        return [past for past in await self.store.history() if past.seen.finding.ref.name == name]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    store = await Store.open(tmp_path / "driftd.sqlite", Clock(), tmp_path / "journal")
    yield Scene(store)
    await store.close()


async def test_a_finding_that_gets_worse_while_it_is_open_is_told_and_reported_again(scene: Scene) -> None:
    one_port = look(namespace(), opened(egress=[{"ports": [{"port": 53, "protocol": "UDP"}]}]))
    everything = look(namespace(), opened(egress=[{}]))
    assert await scene.cycle(one_port) == ["drift.found"]
    (before,) = await scene.lives("default-deny")
    assert await scene.cycle(one_port) == []
    assert await scene.cycle(everything) == ["drift.changed"]
    (after,) = await scene.lives("default-deny")
    assert after.seen.finding.id == before.seen.finding.id
    assert after.seen.finding.changes != before.seen.finding.changes
    assert await scene.cycle(everything) == []


async def test_what_came_and_went_without_a_judgement_stands_in_the_evidence_once(scene: Scene) -> None:
    hole, clean = look(namespace(), opened(egress=[{}])), look(namespace(), opened())
    scene.meaning.vanished.look(hole, [one.id for one in hole.findings], lambda _: Direction.UNKNOWN)
    scene.meaning.vanished.look(clean, (), lambda _: Direction.UNKNOWN)
    await scene.cycle(clean)
    await scene.cycle(clean)
    (row,) = [one for one in await scene.store.audit() if one.kind == "policy.unjudged"]
    assert (row.subject, "default-deny (unknown" in row.payload) == (NAME, True)


async def test_findings_stay_open_while_their_namespace_terminates_and_close_with_it(scene: Scene) -> None:
    await scene.cycle(look(namespace(), opened(egress=[{}])))
    leaving = namespace()
    leaving["metadata"]["deletionTimestamp"] = "2026-11-22T00:00:00Z"
    assert await scene.cycle(look(leaving, opened(egress=[{}]))) == ["drift.found"]
    (hole,) = await scene.lives("default-deny")
    assert hole.seen.closed is None, "a hole is no less open because its namespace is on its way out"
    (going,) = await scene.lives(NAME)
    assert going.seen.finding.type.value == "terminating"

    await scene.cycle(look(gone=True))
    closed = [past.seen for past in await scene.store.history() if past.seen.closed is not None]
    assert {one.finding.type.value for one in closed} == {"modified", "terminating"}
    assert {one.closed_by for one in closed} == {"its namespace is gone"}


async def test_what_somebody_else_put_right_is_closed_by_nobody_of_ours(scene: Scene) -> None:
    await scene.cycle(look(namespace(), opened(egress=[{}])), look(*MODEL))
    (past,) = await scene.lives("default-deny")
    assert past.seen.closed_by == "elsewhere"
    assert scene.recording.open_everywhere == 0


async def test_what_others_make_and_delete_faster_than_it_can_be_written_is_one_life_of_its_finding(
    scene: Scene,
) -> None:
    """Seen: a hole that was made and deleted all the time was 135 findings in fifteen seconds, and 500 audit rows."""
    there, gone, ref = look(*MODEL, policy("hole", {**DENY, "egress": [{}]})), look(*MODEL), policy_ref("hole")
    told = [await scene.cycle(*looks, raced=ref) for looks in ((there, gone), (gone,), (there,), (gone, there, gone))]
    assert told == [["drift.found"], [], [], []]
    (life,) = await scene.lives("hole")
    assert life.seen.closed is None
    assert await scene.cycle(gone) == ["drift.gone"]
    assert len(await scene.lives("hole")) == 1


async def test_a_scope_that_the_model_leaves_closes_its_findings_with_that_reason(scene: Scene) -> None:
    await scene.cycle(look(namespace(), policy("rogue", DENY), policy("default-deny", DENY)))
    await scene.recording.ungoverned(Scope(NAME))
    (past,) = await scene.lives(policy_ref("rogue").name)
    assert past.seen.closed_by == "no longer governed"


async def test_what_only_the_last_look_shows_is_begun_like_any_other_also_when_it_comes_back(scene: Scene) -> None:
    work = Work(Traces().begin("driftd.reconcile", {}), 99.0)
    for _ in range(2):
        await scene.recording.conclude(look(namespace(), opened(egress=[{}])), work)
        await scene.recording.conclude(look(namespace(), policy("default-deny", DENY)), work)
        work = Work(Traces().begin("driftd.reconcile", {}), 99.0)
    lives = await scene.lives("default-deny")
    assert [life.episode for life in lives] == [2, 1]
    assert all(life.seen.closed for life in lives)


@pytest.mark.parametrize(
    ("direction", "told"),
    [
        (
            Direction.LOOSENS,
            {"driftd.direction": "loosens", "driftd.severity": "critical", "driftd.witness": str(FLOW)},
        ),
        (Direction.UNKNOWN, {}),
    ],
)
async def test_the_span_of_a_cycle_says_what_its_worst_finding_means_where_that_is_known(
    scene: Scene, direction: Direction, told: dict[str, str]
) -> None:
    spans = InMemory()
    trace = Traces(spans).begin("driftd.reconcile", {})
    known = {policy_ref("default-deny"): Judgement(direction, crosses_tenant=True, witness=FLOW)}
    bodies = scope_of_bodies([namespace(), opened(egress=[{}])])
    comparison = compare(COMPILED, GOVERNED, bodies, TODAY, judge=lambda _governed, _live, _asked: known)
    work = Work(trace, 99.0)
    await scene.recording.begin(scene.recording.open_fresh(comparison, work))
    await scene.recording.conclude(comparison, work)
    trace.end("drift", eventful=True)
    meaning = {"driftd.direction", "driftd.severity", "driftd.witness"}
    assert {key: value for key, value in spans.made[0].attributes.items() if key in meaning} == told
