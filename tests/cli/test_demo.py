"""The demo without a cluster: its props, its scenes, and what it would say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from driftd.cli.failures import CommandError
from driftd.cli.story import SCENES, Called, Ending, Masquerade, Narrator, SceneEnd, story_assets
from driftd.cli.story.evidence import Healing
from driftd.cli.story.tracing import Span, taking_traces
from driftd.lab import AuditedObject, AuditRecord
from driftd.policy.kinds import KINDS
from driftd.store import Head, Past, Verification
from driftd.telemetry import Metrics
from driftd.telemetry.otlp import OtlpRecorder
from driftd.values import Change, Direction, Finding, FindingType, ObjectRef, Scope, Seen, Severity, Witness
from tests.support.stage import compiled_models

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SCENE = SCENES[0]
RULE = Change(("spec", "egress", "anybody: any port"), None, "{}", "egress rule to [bold]anybody[/bold] was added")


def _record(verb: str, user: str, *, ms: float, resource: str = "networkpolicies", name: str = "x") -> AuditRecord:
    at = NOON + timedelta(milliseconds=ms)
    return AuditRecord(
        audit_id=f"{verb}-{ms}",
        stage="ResponseComplete",
        received_at=at,
        stage_at=at,
        verb=verb,
        user=user,
        groups=(),
        impersonated="",
        user_agent="",
        uri="",
        ref=AuditedObject("", "v1", resource, "", "", name),
        code=200,
        reason="",
        request_object={"spec": {"egress": [{}]}},
        response_object=None,
    )


def _life(type_: FindingType = FindingType.MODIFIED, *changes: Change) -> Past:
    ref = SCENE.tampering.ref
    finding = Finding(
        id="1",
        type=type_,
        ref=ref,
        scope=Scope(ref.namespace),
        tenant="acme",
        direction=Direction.UNKNOWN,
        severity=Severity.CRITICAL,
        summary=f"{ref} differs",
        changes=changes,
    )
    return Past(Seen(finding, NOON, NOON, NOON, "driftd"), 1, ())


def _told(end: SceneEnd, *, terminal: bool = False) -> str:
    out = StringIO()
    console = Console(
        file=out, width=200, highlight=False, markup=False, force_terminal=terminal, no_color=not terminal
    )
    narrator = Narrator(console)
    narrator.scene(1, 1, end.scene)
    narrator.scene_end(end)
    narrator.ending(Ending((end,), Verification(ok=True, rows=3, head=Head()), end.differing, (), ()))
    return out.getvalue()


HEALED = SceneEnd(
    SCENE,
    Healing(_record("patch", "mallory", ms=0), (_record("update", "driftd", ms=7),)),
    (_life(FindingType.MODIFIED, RULE),),
    (),
)


def test_every_scene_happens_to_an_object_or_beside_one_that_the_model_enforces() -> None:
    compiled = compiled_models(story_assets().models)
    for scene in SCENES:
        governed = compiled.governed[scene.namespace]
        ref = scene.tampering.ref
        assert (ref in governed.objects) is (scene.tampering.verb != "create"), scene.title
        assert governed.mode_of(ref.kind) == "enforce", scene.title


def test_there_are_a_dozen_scenes_over_all_kinds_that_isolation_needs() -> None:
    kinds = {scene.tampering.ref.kind for scene in SCENES}
    assert len(SCENES) >= 12
    assert kinds == {kind.resource.kind for kind in KINDS.values() if not kind.dialect} - {"LimitRange"}


def put_manifests(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("rbac.yaml", "admission.yaml"):
        (folder / name).touch()


def test_a_checkout_comes_before_what_the_package_carries(tmp_path: Path) -> None:
    package = tmp_path / "driftd"
    carried = package / "_data"
    (carried / "models").mkdir(parents=True)
    put_manifests(carried / "manifests")
    assert story_assets(package).models == carried / "models"
    (tmp_path / "models").mkdir()
    put_manifests(tmp_path / "deploy" / "manifests")
    assert story_assets(package).models == tmp_path / "models"


def test_without_its_props_the_demo_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="holds the example model") as error:
        story_assets(tmp_path / "driftd")
    assert error.value.code == 3


def test_a_healed_scene_says_who_did_what_what_was_seen_and_in_what_time() -> None:
    said = _told(HEALED)
    for part in ("mallory patch", '{"spec":{"egress":[{}]}}', "modified", "spec.egress[anybody: any port]", "7 ms"):
        assert part in said
    assert "1 of 1 tamperings healed; the cluster is as the model has it" in said


def test_text_of_the_cluster_is_not_read_as_markup() -> None:
    assert "egress rule to [bold]anybody[/bold] was added" in _told(HEALED, terminal=True)


def test_plain_lines_are_ascii_without_escape_codes_or_trailing_blanks() -> None:
    said = _told(HEALED)
    assert said.isascii()
    assert "\x1b" not in said
    assert all(line == line.rstrip() for line in said.splitlines())


@pytest.mark.parametrize(
    "end",
    [
        SceneEnd(SCENE, None, (_life(),), ()),
        SceneEnd(SCENE, Healing(_record("patch", "mallory", ms=0), ()), (_life(),), ()),
        SceneEnd(SCENE, HEALED.healing, (), ()),
        SceneEnd(SCENE, HEALED.healing, HEALED.lives, (ObjectRef("", "Namespace", "", "acme-prod"),)),
    ],
    ids=["not in the audit log", "not repaired", "not told", "not whole"],
)
def test_whatever_lacks_a_scene_is_not_healed_and_the_table_says_so(end: SceneEnd) -> None:
    assert not end.healed
    said = _told(end)
    assert "NOT OK" in said
    assert "0 of 1 tamperings healed" in said


def test_an_ending_is_good_only_with_a_verified_chain() -> None:
    broken = Verification(ok=False, rows=3, head=Head(), first_bad=2, problem="row 2 was altered")
    assert Ending((HEALED,), Verification(ok=True, rows=3, head=Head()), (), (), ()).good
    assert not Ending((HEALED,), broken, (), (), ()).good
    assert not Ending((), Verification(ok=True, rows=3, head=Head()), (), (), ()).good


def test_the_time_a_namespace_takes_to_die_is_not_counted_as_ours() -> None:
    gone = _record("update", "controller", ms=5000, resource="namespaces")
    healing = Healing(_record("delete", "mallory", ms=0), (_record("create", "driftd", ms=5040),), gone)
    end = SceneEnd(SCENE, healing, (_life(FindingType.MISSING),), ())
    assert "whole 40 ms after Kubernetes had taken the namespace down, which took 5.0 s" in _told(end)
    assert Ending((end, HEALED), Verification(ok=True, rows=3, head=Head()), (), (), ()).heal_ms == (7.0,)


def test_the_act_with_labels_says_what_was_worn_what_it_opens_and_how_soon() -> None:
    out = StringIO()
    narrator = Narrator(Console(file=out, width=200, highlight=False, markup=False))
    finding = replace(_life(FindingType.RELABELLED).seen.finding, direction=Direction.LOOSENS, summary="[b]it[/b]")
    narrator.labels(ObjectRef("", "Pod", "a", "p"), {"app": "db"})
    narrator.labels_end(Masquerade(finding, 0.25, closed=True))
    said = out.getvalue()
    assert "mallory makes Pod a/p with app=db" in said
    assert "relabelled  [b]it[/b]" in said
    assert "after 250 ms, and closed" in said
    assert "NOT OK" not in said


@pytest.mark.parametrize(
    "end", [Masquerade(None, 15.0, closed=True), Masquerade(_life().seen.finding, 1.0, closed=False)]
)
def test_an_act_that_shows_nothing_says_so(end: Masquerade) -> None:
    out = StringIO()
    Narrator(Console(file=out, width=200)).labels_end(end)
    assert "NOT OK" in out.getvalue()


@pytest.mark.parametrize("lacks", [(), ("nodes need root, this is user id 1000",)])
def test_nodes_are_offered_where_this_machine_can_have_them(lacks: tuple[str, ...]) -> None:
    out = StringIO()
    Narrator(Console(file=out, width=200)).with_nodes(lacks)
    assert ("make demo-node" in out.getvalue()) == (not lacks)
    assert len(out.getvalue().splitlines()) == (0 if lacks else 1)


def _span(number: int, parent: int, name: str) -> Span:
    return Span("t", f"{number}", f"{parent}" if parent else "", name, number * 1_000_000, (number + 1) * 1_000_000)


EVENT = {
    "dedup_key": "driftd:c:1",
    "payload": {"severity": "warning", "summary": "[b]a way[/b] across tenants", "custom_details": {"trace_id": "t"}},
}
SPANS = ((0, _span(1, 0, "driftd.reconcile")), (1, _span(2, 1, "driftd.write")))


def _called(called: Called) -> str:
    out = StringIO()
    Narrator(Console(file=out, width=200, highlight=False, markup=False)).called(called)
    return out.getvalue()


def test_whoever_is_on_call_sees_the_page_its_key_and_what_driftd_did() -> None:
    said = _called(Called(EVENT, SPANS))
    for part in ("warning  [b]a way[/b] across tenants", "driftd:c:1", "driftd.reconcile  1.0 ms", "  driftd.write"):
        assert part in said
    assert "NOT OK" not in said


@pytest.mark.parametrize("called", [Called(None, ()), Called(EVENT, ()), Called(EVENT, SPANS[:1])])
def test_a_page_or_a_trace_that_does_not_come_is_said_to_lack(called: Called) -> None:
    assert "NOT OK" in _called(called)


async def test_the_story_takes_the_traces_that_the_daemon_sends() -> None:
    async with taking_traces() as traces:
        recorder = OtlpRecorder(
            endpoint=traces.endpoint, resource={}, share=1.0, timeout_seconds=5.0, queue=64, metrics=Metrics()
        )
        root = recorder.start("driftd.reconcile", 1, None, ())
        for name, began in (("driftd.record", 5), ("driftd.observe", 2)):
            recorder.start(name, began, root, ()).end(began + 1, {}, "")
        root.end(9, {}, "")
        await recorder.close()
        found = [(depth, span.name) for depth, span in traces.tree(root.trace_id)]
        assert found == [(0, "driftd.reconcile"), (1, "driftd.observe"), (1, "driftd.record")]
        assert traces.tree("another") == ()


def test_what_a_finding_means_is_one_line_whatever_a_pod_calls_its_owner() -> None:
    life = _life()
    witness = Witness("anybody", "shop/evil\n\x1b[2Jall resolved", "TCP", "80")
    finding = replace(life.seen.finding, direction=Direction.LOOSENS, witness=witness)
    end = replace(HEALED, lives=(replace(life, seen=replace(life.seen, finding=finding)),))
    told = _told(end)
    assert "\x1b[2J" not in told
    assert "shop/evil\\n" in told
