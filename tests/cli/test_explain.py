"""`driftd explain`: the verdict, the rule that decides, and what would be without it, from every source."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from driftd.cli.documents import schema_of
from tests.support.cli import driftd, write_model
from tests.support.flow_worlds import ACME, GLOBEX, WORKLOADS
from tests.support.json_schema import errors


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_model(tmp_path / "models", acme=ACME, globex=GLOBEX)


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "all.yaml").write_text(WORKLOADS)
    return folder


def test_a_flow_across_tenants_is_blocked_and_the_dialect_is_told(models: Path) -> None:
    ran = driftd("explain", "acme-prod/web", "globex-prod/web:8080", "--models", models)
    assert ran.code == 0
    assert ran.out.splitlines()[0] == "acme-prod/web -> globex-prod/web TCP/8080 is blocked (dialect kubernetes)"
    assert "egress of acme-prod/web: blocked" in ran.out
    assert "ingress of globex-prod/web: blocked" in ran.out


def test_an_allowed_flow_names_the_rule_on_either_side_and_what_would_be_without_it(models: Path) -> None:
    ran = driftd("explain", "acme-prod/web", "acme-prod/db:db", "--models", models)
    assert "TCP/5432 is allowed" in ran.out
    assert "of NetworkPolicy acme-prod/web-egress it would be blocked" in ran.out
    assert "without ingress rule 1 of NetworkPolicy acme-prod/db-ingress it would be blocked" in ran.out
    assert "acme.yaml:" in ran.out, "the line of the model behind the policy"


def test_a_target_with_one_port_needs_none_named(models: Path) -> None:
    assert "TCP/9090 is allowed" in driftd("explain", "acme-prod/web", "acme-prod/api", "--models", models).out


def test_the_document_is_what_its_schema_says(models: Path) -> None:
    document = driftd("explain", "acme-prod/web", "acme-prod/api", "--models", models, "-o", "json").json()
    assert errors(document, schema_of("FlowExplanation")) == []
    found = document["connections"][0]
    assert (found["answer"], found["protocol"], found["port"]) == ("allowed", "TCP", 9090)
    step = found["ingress"]["steps"][found["ingress"]["decidedBy"]]
    assert (step["matched"], step["action"], step["policy"]["name"]) == ("yes", "allow", "api-ingress")


def test_manifests_of_anybody_are_explained_rule_by_rule(manifests: Path) -> None:
    ran = driftd("explain", "shop/web", "shop/db:pg", "--manifests", manifests)
    assert ran.code == 0
    assert "NetworkPolicy shop/allow-web, ingress rule 1: no match" in ran.out
    assert "without ingress rule 2 of NetworkPolicy shop/allow-web it would be blocked" in ran.out


def test_a_service_leads_to_the_port_of_its_pods(manifests: Path) -> None:
    ran = driftd("explain", "shop/web", "shop/postgres:15432", "--manifests", manifests)
    assert "shop/db-0 TCP/5432 is allowed" in ran.out


def test_an_address_is_an_end_like_any_other(manifests: Path) -> None:
    ran = driftd("explain", "203.0.113.7", "shop/db:5432/tcp", "--manifests", manifests)
    assert "203.0.113.7 -> shop/db-0 TCP/5432 is blocked" in ran.out
    assert "without NetworkPolicy shop/allow-web it would be allowed" in ran.out
    six = driftd("explain", "shop/web", "[2001:db8::1]:443/UDP", "--manifests", manifests)
    assert "2001:db8::1 UDP/443 is allowed" in six.out


def test_the_dialect_that_was_asked_for_is_the_one_that_answers(manifests: Path) -> None:
    ran = driftd("explain", "shop/web", "shop/db:5432", "--manifests", manifests, "--dialect", "cilium")
    assert "is allowed (dialect cilium)" in ran.out


def test_what_cannot_be_read_is_named_and_the_answer_is_not_called_whole(manifests: Path) -> None:
    (manifests / "cilium.yaml").write_text(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: x, namespace: shop}\nspec: {}\n"
    )
    (manifests / "chart.yaml").write_text("kind: {{ .Values.kind }}\nitems:\n{{- range .Values.x }}\n")
    (manifests / "broken.yaml").write_text("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nspec: [1]\n")
    (manifests / "values.yaml").write_text("replicas: 3\n")
    ran = driftd("explain", "shop/web", "shop/db:5432", "--manifests", manifests)
    assert ran.code == 3
    assert "is allowed" in ran.out, "the rest is answered all the same"
    assert "CiliumNetworkPolicy shop/x is not evaluated" in ran.err
    assert "broken.yaml: NetworkPolicy without metadata.name" in ran.err
    assert "render it first" in ran.err
    assert "values.yaml: no Kubernetes object" in ran.err


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("shop/nobody", "shop/db:1", "shop has db, web"),
        ("elsewhere/web", "shop/db:1", "pods are known in shop"),
        ("shop/web", "shop/db:nope", "they have pg (TCP/5432)"),
        ("shop/web", "shop/db:5432/ICMP", "expected TCP, UDP or SCTP"),
        ("shop/web", "shop/db:99999", "not within 1..65535"),
        ("shop/web", "192.0.2.1:http", "an address has no named ports"),
        ("shop/web", "192.0.2.1", "which port"),
        ("web", "shop/db:1", "no IP address and names no namespace"),
    ],
)
def test_a_question_that_cannot_be_meant_is_wrong_usage(manifests: Path, source: str, target: str, told: str) -> None:
    ran = driftd("explain", source, target, "--manifests", manifests)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err


def test_the_drawing_is_well_formed_and_says_the_verdict(models: Path) -> None:
    drawn = driftd("explain", "acme-prod/web", "globex-prod/web:8080", "--models", models, "-o", "svg").out
    root = ET.fromstring(drawn)
    said = "".join(root.itertext())
    assert "is blocked (dialect kubernetes)" in said
    assert "end of tier default" in said


def test_the_flowchart_holds_both_directions_and_escapes_what_mermaid_acts_upon(manifests: Path) -> None:
    text = (manifests / "all.yaml").read_text().replace("allow-web", 'a"];click')
    (manifests / "all.yaml").write_text(text.replace('name: a"];click', "name: 'a\"];click'"))
    chart = driftd("explain", "shop/web", "shop/db:pg", "--manifests", manifests, "-o", "mermaid").out
    assert chart.startswith("flowchart TB\n")
    assert "egress of shop/web" in chart
    assert "ingress of shop/db-0" in chart
    assert '"];click' not in chart
    assert "#34;#93;#59;click" in chart


def test_names_from_a_cluster_cannot_act_on_the_terminal(manifests: Path) -> None:
    text = (manifests / "all.yaml").read_text().replace("name: allow-web", 'name: "a\\e[2Jb"')
    (manifests / "all.yaml").write_text(text)
    ran = driftd("explain", "shop/web", "shop/db:pg", "--manifests", manifests)
    assert "\x1b" not in ran.out + ran.err
