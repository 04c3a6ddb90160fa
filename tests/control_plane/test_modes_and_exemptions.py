"""Report mode writes nothing outside driftd's own namespace, wherever it is said; an exemption spares one object."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftd.lab import Lab
from tests.support.faulty import OPEN, Scene, allow_all
from tests.support.shared_stage import Standing, gone, on, quiet, restored, standing, told, until_event
from tests.support.stage import Body, copy_models

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]  # judging every state costs CPU

ENFORCE = "    mode: enforce\n"


@pytest.fixture(scope="module")
def driftd(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """The example platform with a wide limit of mass changes: switching enforcement on again is what mends here."""
    root = tmp_path_factory.mktemp("modes")
    cluster = copy_models(root / "base") / "cluster.yaml"
    narrow = "massChange: {objects: 20, percent: 10}"
    assert narrow in cluster.read_text()
    cluster.write_text(cluster.read_text().replace(narrow, "massChange: {objects: 50, percent: 90}"))
    with standing(lab, root / "data", models=copy_models(root / "models", root / "base")) as one:
        yield one


@pytest.fixture
async def scene(driftd: Standing) -> AsyncIterator[Scene]:
    async with on(driftd) as one:
        yield one
        restored(driftd.models, base(driftd.models))
        await one.canonical(60.0)


def base(models: Path) -> Path:
    return models.parent / "base"


async def changed(scene: Scene, file: str, old: str, new: str) -> None:
    """Change one place of the model and wait until it is in force."""
    known = len([event for event in scene.daemon.events() if event.get("event") == "model.accepted"])
    path = scene.models / file
    text = path.read_text()
    assert old in text, f"{file} has no {old!r}"
    path.write_text(text.replace(old, new))
    await until_event(scene, "model.accepted", known)


TAMPERED: dict[str, tuple[str, Body]] = {
    "NetworkPolicy": ("default-deny", OPEN),
    "ResourceQuota": ("quota", {"spec": {"hard": {"pods": "5000"}}}),
    "LimitRange": ("limits", {"spec": {"limits": []}}),
    "ServiceAccount": ("default", {"automountServiceAccountToken": True}),
}


async def tamper(scene: Scene, namespace: str) -> None:
    """Change an object of every kind, delete one, add one."""
    for kind, (name, patch) in TAMPERED.items():
        await scene.kube.merge(kind, namespace, name, patch)
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    await scene.kube.merge("Namespace", "", namespace, {"metadata": {"labels": labels}})
    (victim, *_) = [
        body["metadata"]["name"]
        for body in await scene.kube.list("NetworkPolicy", namespace)
        if body["metadata"]["name"].endswith("-ingress")
    ]
    await scene.kube.delete("NetworkPolicy", namespace, victim)
    await scene.kube.create(allow_all(namespace, "extra"))
    for name, type_ in {"default-deny": "modified", victim: "missing", "extra": "unexpected"}.items():
        await told(scene, type_, name, namespace)
    for name in ("quota", "limits", "default"):
        await told(scene, "modified", name, namespace)
    await told(scene, "modified", namespace)


@pytest.mark.parametrize(
    ("commit", "reported", "enforced"),
    [
        (("cluster.yaml", ENFORCE, "    mode: report\n"), ["acme-stage", "globex-prod"], []),
        (
            ("plans.yaml", "  name: shared\nspec:\n", "  name: shared\nspec:\n  remediation: {mode: report}\n"),
            ["acme-stage"],
            ["globex-prod"],
        ),
        (
            ("environments/acme-stage.yaml", "  plan: shared\n", "  plan: shared\n  remediation: {mode: report}\n"),
            ["acme-stage"],
            ["globex-prod"],
        ),
    ],
    ids=["cluster", "plan", "environment"],
)
async def test_report_mode_tells_and_writes_nothing(
    scene: Scene, commit: tuple[str, str, str], reported: list[str], enforced: list[str]
) -> None:
    await changed(scene, *commit)
    await scene.mark()
    for namespace in (*reported, *enforced):
        await tamper(scene, namespace)
    await quiet()
    assert not [record for record in scene.attempts() if record.key.namespace in reported], (
        "driftd wrote in report mode"
    )
    assert not [record for record in scene.attempts() if record.key.name in reported]
    assert enforced or scene.attempts() == [], "a cluster that is only reported is not written at all"
    for namespace in reported:
        assert await scene.kube.find("NetworkPolicy", namespace, "extra")
    for namespace in enforced:
        await gone(scene, "NetworkPolicy", namespace, "extra")
    restored(scene.models, base(scene.models))
    await scene.canonical(60.0)


async def test_a_kind_that_is_only_reported_is_not_written_while_the_others_are(scene: Scene) -> None:
    await changed(scene, "cluster.yaml", ENFORCE, ENFORCE + "    kinds: {NetworkPolicy: report}\n")
    await scene.mark()
    await tamper(scene, "acme-stage")
    await scene.canonical()  # of what is enforced
    resources = {record.key.resource for record in scene.attempts()}
    assert resources == {"namespaces", "resourcequotas", "limitranges", "serviceaccounts"}
    restored(scene.models, base(scene.models))
    await scene.canonical(60.0)


async def test_an_exemption_spares_exactly_one_object(scene: Scene) -> None:
    await scene.kube.create(allow_all("acme-stage", "debug-shell"))
    await scene.kube.create(allow_all("acme-stage", "debug-shell-2"))
    await scene.kube.create(allow_all("acme-prod", "debug-shell"))
    await gone(scene, "NetworkPolicy", "acme-stage", "debug-shell-2")
    await gone(scene, "NetworkPolicy", "acme-prod", "debug-shell")
    await quiet()
    spared = await scene.kube.get("NetworkPolicy", "acme-stage", "debug-shell")
    assert spared["spec"]["egress"] == [{}]
    assert "acme-stage/debug-shell" not in {f"{key.namespace}/{key.name}" for _, key in scene.repairs()}

    # Its day is over.
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    await changed(scene, "exemptions/acme-debug.yaml", "until: 2027-06-30", f"until: {yesterday}")
    await gone(scene, "NetworkPolicy", "acme-stage", "debug-shell")


def test_the_example_platform_says_what_these_tests_take_for_granted() -> None:
    models = Path(__file__).resolve().parents[2] / "models"
    assert ENFORCE in (models / "cluster.yaml").read_text()
    assert "plan: shared" in (models / "environments" / "acme-stage.yaml").read_text()
    assert "plan: business" in (models / "environments" / "globex-prod.yaml").read_text()
