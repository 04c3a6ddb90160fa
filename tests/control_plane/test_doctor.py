"""`driftd doctor` on a real API server: each lack is named with its remedy, and nothing is written by looking."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from driftd.cli.documents import schema_of
from driftd.lab import Lab
from tests.oracle.replay import read
from tests.support.cli import Ran, driftd
from tests.support.json_schema import errors
from tests.support.kube import Body
from tests.support.login import Login, login, protecting
from tests.support.loopback import free_ports
from tests.support.pagerduty import StandIn
from tests.support.stage import DRIFTD, MODELS, copy_models

pytestmark = [
    pytest.mark.control_plane,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]


@dataclass
class Patient:
    """driftd's login, and how the doctor is asked about it."""

    login: Login
    lab: Lab
    config: Path
    folder: Path
    pagerduty: StandIn

    async def ask(self, *arguments: str | Path, env: dict[str, str] | None = None, config: Path | None = None) -> Ran:
        given = ["--kubeconfig", config or self.config, "--namespace", "driftd", "--data-dir", self.folder, *arguments]
        pager = {
            "DRIFTD_PAGING__PAGERDUTY_KEY": "secret-key-of-thirty-two-letters",
            "DRIFTD_PAGING__PAGERDUTY_URL": self.pagerduty.url,
            "DRIFTD_PAGING__CA_FILE": str(self.pagerduty.ca_file),
            "NO_PROXY": "localhost,127.0.0.1",
        }
        return await asyncio.to_thread(driftd, "doctor", *given, env={**pager, **(env or {})})

    async def lacks(self, *, models: Path = MODELS, **given: Any) -> dict[str, dict[str, Any]]:
        """What is not well, by what was seen."""
        ran = await self.ask("--models", models, "-o", "json", **given)
        document = ran.json()
        assert errors(document, schema_of("DoctorReport")) == []
        states = {one["state"] for one in document["checks"]}
        assert ran.code == (3 if "unknown" in states else 1 if "missing" in states else 0)
        assert document["healthy"] is (ran.code == 0)
        assert all(one["remedy"] for one in document["checks"] if one["state"] != "ok")
        return {one["seen"]: one for one in document["checks"] if one["state"] != "ok"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def patient(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Patient]:
    async with login(lab) as one:
        config = Path(await lab.service_account_kubeconfig("driftd", "driftd"))
        async with StandIn(tmp_path_factory.mktemp("pagerduty")) as pagerduty:
            yield Patient(one, lab, config, tmp_path_factory.mktemp("doctor") / "data", pagerduty)


async def test_as_it_is_shipped_nothing_is_missing_and_asking_stores_nothing(patient: Patient) -> None:
    offset = Path(patient.lab.audit_log).stat().st_size
    ran = await patient.ask("--models", MODELS)
    assert ran.code == 0, ran.out
    assert "missing" not in ran.out
    assert "takes connections" in ran.out
    assert patient.pagerduty.requests == 0
    assert "secret-key" not in ran.out + ran.err
    records = read(Path(patient.lab.audit_log).read_bytes()[offset:].splitlines(keepends=True))
    written = [one for one in records if one.user == DRIFTD and one.is_write and one.succeeded]
    assert {one.key.group for one in written} <= {"authorization.k8s.io"}
    assert not patient.folder.exists()


async def test_a_right_that_was_taken_away_is_named_with_its_remedy(patient: Patient) -> None:
    admin = patient.login.admin
    role = await admin.get("ClusterRole", "", "driftd")
    own = await admin.get("Role", "driftd", "driftd")
    rules = [{**rule} for rule in role["rules"] if "endpointslices" not in rule["resources"]]
    for rule in rules:
        if rule["resources"] == ["networkpolicies"]:
            rule["verbs"] = [verb for verb in rule["verbs"] if verb != "delete"]
    less = [rule for rule in own["rules"] if rule["resources"] != ["leases"]]
    try:
        await admin.merge("ClusterRole", "", "driftd", {"rules": rules})
        await admin.merge("Role", "driftd", "driftd", {"rules": less})
        async with asyncio.timeout(20):
            while len(found := await patient.lacks()) < 7:
                await asyncio.sleep(0.1)
        assert set(found) == {
            "get endpointslices.discovery.k8s.io",
            "list endpointslices.discovery.k8s.io",
            "watch endpointslices.discovery.k8s.io",
            "delete networkpolicies.networking.k8s.io",
            "create leases.coordination.k8s.io in driftd",
            "get leases.coordination.k8s.io driftd in driftd",
            "update leases.coordination.k8s.io driftd in driftd",
        }
        assert {one["remedy"] for one in found.values()} == {"apply deploy/manifests/rbac.yaml"}
    finally:
        await admin.merge("ClusterRole", "", "driftd", {"rules": role["rules"]})
        await admin.merge("Role", "driftd", "driftd", {"rules": own["rules"]})
    async with asyncio.timeout(20):
        while await patient.lacks():
            await asyncio.sleep(0.1)


async def test_whether_the_fence_holds_is_unknown_to_who_may_not_read_the_ruling_epoch(patient: Patient) -> None:
    admin = patient.login.admin
    own = await admin.get("Role", "driftd", "driftd")
    less = [rule for rule in own["rules"] if rule.get("resourceNames") != ["driftd-fence"]]
    assert less != own["rules"]
    try:
        await admin.merge("Role", "driftd", "driftd", {"rules": less})
        async with asyncio.timeout(20):
            while len(found := await patient.lacks()) < 3:
                await asyncio.sleep(0.1)
        assert sorted((one["subject"], one["state"]) for one in found.values()) == [
            ("driftd-fence", "unknown"),
            ("right", "missing"),
            ("right", "missing"),
        ]
    finally:
        await admin.merge("Role", "driftd", "driftd", {"rules": own["rules"]})
    async with asyncio.timeout(20):
        while await patient.lacks():
            await asyncio.sleep(0.1)


async def test_a_policy_that_binds_nobody_is_missing(patient: Patient) -> None:
    kind = "ValidatingAdmissionPolicyBinding"
    admin = patient.login.admin
    binding: Body = await admin.get(kind, "", "driftd-bounds")
    await admin.delete(kind, "", "driftd-bounds")
    try:
        async with asyncio.timeout(20):
            while not (found := await patient.lacks()):
                await asyncio.sleep(0.1)
        assert [one["subject"] for one in found.values()] == ["driftd-bounds"]
    finally:
        meta = {"name": "driftd-bounds"}
        await admin.create({**binding, "metadata": meta})
    async with asyncio.timeout(20):
        while await patient.lacks():
            await asyncio.sleep(0.1)


async def test_the_models_platform_is_to_be_protected_where_it_exists_and_is_not_written(
    patient: Patient, tmp_path: Path
) -> None:
    models = copy_models(tmp_path / "models")
    platform = "platformNamespaces: [kube-system, ingress, platform-logs, falco, driftd, redis-acme"
    cluster = models / "cluster.yaml"
    assert platform in cluster.read_text()
    cluster.write_text(cluster.read_text().replace(platform, f"{platform}, clinic, clinic-written, clinic-absent"))
    (models / "shared" / "written.yaml").write_text(
        """apiVersion: driftd.dev/v1alpha1
kind: SharedService
metadata: {name: written}
spec: {namespace: clinic-written, labels: {app: written}, port: 8080, callers: {tenants: all}, policies: write}
"""
    )
    admin = patient.login.admin
    namespaces: list[Body] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("clinic", "clinic-written")
    ]
    await admin.apply(namespaces)
    try:
        found = await patient.lacks(models=models)
        assert {one["subject"] for one in found.values()} == {"driftd-bounds"}
        (seen,) = found
        assert seen == "a write into clinic would be let in"
        assert found[seen]["remedy"] == "add to protectedNamespaces of the chart's values: clinic"
        async with protecting(admin, "clinic"), asyncio.timeout(20):
            while await patient.lacks(models=models):
                await asyncio.sleep(0.1)
    finally:
        for body in namespaces:
            await admin.delete("Namespace", "", body["metadata"]["name"])


async def test_an_administrators_login_has_too_much_and_is_held_by_nothing(patient: Patient) -> None:
    found = await patient.lacks(config=Path(patient.lab.kubeconfig))
    assert {one["subject"] for one in found.values()} == {"too many rights", "driftd-fence", "driftd-bounds"}


async def test_calicos_kinds_are_asked_for_where_the_model_says_calico(patient: Patient, tmp_path: Path) -> None:
    models = copy_models(tmp_path / "models")
    cluster = models / "cluster.yaml"
    cluster.write_text(cluster.read_text().replace("dialect: kubernetes", "dialect: calico"))
    ran = await patient.ask("--models", models, "-o", "json")
    kinds = [one["seen"] for one in ran.json()["checks"] if one["subject"] == "kind"]
    assert kinds
    assert all("calico" in kind for kind in kinds)


async def test_what_is_beside_the_cluster_is_looked_at_too(patient: Patient, tmp_path: Path) -> None:
    broken = tmp_path / "models"
    broken.mkdir()
    (broken / "cluster.yaml").write_text("kind: Nonsense\n")
    ran = await patient.ask("--models", broken, "-o", "json", env={"DRIFTD_PAGING__PAGERDUTY_KEY": ""})
    states = {one["subject"]: one["state"] for one in ran.json()["checks"]}
    assert (states["model"], states["paging"], ran.code) == ("missing", "missing", 1)


async def test_a_pager_out_of_reach_is_missing_and_a_collector_out_of_reach_changes_nothing(patient: Patient) -> None:
    away = f"127.0.0.1:{free_ports(1)[0]}"
    env = {"DRIFTD_TELEMETRY__OTLP_ENDPOINT": f"http://{away}/v1/traces"}
    ran = await patient.ask("--models", MODELS, "-o", "json", env=env)
    document = ran.json()
    assert errors(document, schema_of("DoctorReport")) == []
    (warning,) = [one for one in document["checks"] if one["state"] != "ok"]
    assert (warning["subject"], warning["state"], ran.code) == ("collector", "warning", 0)
    assert document["healthy"] is True
    found = await patient.lacks(env={"DRIFTD_PAGING__PAGERDUTY_URL": f"https://{away}"})
    assert [(one["subject"], one["state"]) for one in found.values()] == [("PagerDuty", "missing")]


async def test_a_server_that_does_not_answer_is_unknown_and_exit_code_3(patient: Patient, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(patient.config.read_text().replace(patient.lab.server, "https://127.0.0.1:1"))
    ran = await patient.ask("--models", MODELS, "-o", "json", config=config)
    assert ran.code == 3
    assert [one["subject"] for one in ran.json()["checks"] if one["state"] == "unknown"] == ["API server"]
