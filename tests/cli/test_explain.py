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


VIRTUAL = """\
apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec: {clusterIP: 10.96.0.10, selector: {app: db}, ports: [{port: 80, targetPort: pg}]}
"""


def test_the_virtual_address_of_a_service_is_asked_about_as_the_service(manifests: Path) -> None:
    (manifests / "front.yaml").write_text(VIRTUAL)
    asked = [
        driftd("explain", "shop/web", end, "--manifests", manifests).out for end in ("10.96.0.10:80", "shop/front:80")
    ]
    assert "shop/db-0 TCP/5432 is allowed" in asked[0]
    assert asked[0] == asked[1]


def test_a_pod_that_meets_itself_through_a_service_is_subject_to_policies(manifests: Path) -> None:
    (manifests / "front.yaml").write_text(VIRTUAL)
    through, straight = (
        driftd("explain", "shop/db", end, "--manifests", manifests, "--dialect", "calico").out
        for end in ("shop/front:80", "shop/db:5432")
    )
    assert "shop/db-0 -> shop/db-0 TCP/5432 is blocked" in through
    assert "shop/db-0 -> shop/db-0 TCP/5432 is allowed" in straight


def test_what_is_blocked_is_said_to_be_so_for_new_connections(manifests: Path) -> None:
    told = "blocked for new connections"
    assert told in driftd("explain", "203.0.113.7", "shop/db:5432", "--manifests", manifests).out
    assert told not in driftd("explain", "shop/web", "shop/db:pg", "--manifests", manifests).out


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
        ("shop/", "shop/db:1", "expected namespace/name or an IP address"),
        ("/web", "shop/db:1", "expected namespace/name or an IP address"),
        ("shop/web", "2001:db8::1:443", "[IPv6]:port"),
        ("10.0.0.0/8", "shop/db:1", "is a block of addresses: ask for one of them, such as 10.0.0.0"),
        ("shop/web", "shop/db:\N{ARABIC-INDIC DIGIT THREE}", "they have pg (TCP/5432)"),
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


def test_names_that_an_error_lists_cannot_act_on_the_terminal_either(manifests: Path) -> None:
    text = (manifests / "all.yaml").read_text().replace("namespace: shop", 'namespace: "a\\e[2Jb"')
    (manifests / "all.yaml").write_text(text)
    ran = driftd("explain", "nowhere/web", "x/y:1", "--manifests", manifests)
    assert ran.code == 2
    assert "pods are known in a\\x1b[2Jb" in ran.err


def test_an_object_of_a_strange_shape_is_named_in_words_of_its_api_and_not_of_python(manifests: Path) -> None:
    (manifests / "odd.yaml").write_text(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: odd, namespace: shop}\n"
        "spec: {template: {metadata: {labels: [a, b]}, spec: {containers: [7]}}}\n"
    )
    ran = driftd("explain", "shop/web", "shop/db:pg", "--manifests", manifests)
    assert ran.code == 3
    assert "Deployment shop/odd is not shaped like one: a field holds something else than its API says" in ran.err


def test_long_names_stay_within_the_drawing(manifests: Path) -> None:
    name = "a-very-long-name-of-a-workload-that-somebody-made-" * 4
    text = (manifests / "all.yaml").read_text().replace("name: web", f"name: {name}w")
    (manifests / "all.yaml").write_text(text)
    drawn = driftd("explain", f"shop/{name}w", "shop/db:pg", "--manifests", manifests, "-o", "svg").out
    texts = [one.text or "" for one in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]
    assert max(len(one) for one in texts if not one.startswith("source: ")) <= 108
    chart = ET.fromstring(driftd("matrix", "--manifests", manifests, "-o", "svg").out)
    labels = [one.text or "" for one in chart.iter("{http://www.w3.org/2000/svg}text")]
    clipped = [one for one in labels if one.startswith("shop/a-very-long")]
    assert clipped
    assert all(len(one) == 44 and one.endswith("somebody-made-w") for one in clipped)
    assert f"shop/{name}w" in "".join(chart.itertext()), "a pointer shows it whole"


def test_a_model_says_what_it_would_have_to_say_for_the_flow_to_pass(models: Path) -> None:
    inside = driftd("explain", "acme-prod/api", "acme-prod/db:db", "--models", models)
    assert "the model lets it pass if service api says `calls: [{to: db}]`\n" in inside.err
    across = driftd("explain", "acme-prod/web", "globex-prod/web:8080", "--models", models, "-o", "json")
    told = "the model lets tenants meet at the gateway (`expose`) and at a SharedService, and nowhere else"
    assert told in across.json()["notes"]
    allowed = driftd("explain", "acme-prod/web", "acme-prod/db:db", "--models", models)
    assert "the model lets" not in allowed.err


def test_a_service_of_the_model_without_pods_says_which_pods_it_would_have(models: Path) -> None:
    listed = driftd("compile", "--models", models, "-o", "json").out
    ran = driftd("explain", "acme-prod/api", "acme-prod/db:1", "--manifests", "-", "--models", models, stdin=listed)
    assert ran.code == 2
    assert "no known pod is of this service of the model (labels app.kubernetes.io/name=api and service" in ran.err
    assert ran.err.endswith("account api); acme-prod has no pods\n")


ADMIN = """\
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: no-databases}
spec:
  priority: 5
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}}
  ingress:
  - {name: shut, action: Deny, from: [{namespaces: {}}]}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {}}
  ingress:
  - {name: shut, action: Deny, from: [{namespaces: {}}]}
"""


def test_an_admin_policy_decides_before_network_policies_and_the_baseline_where_there_are_none(manifests: Path) -> None:
    ends = ("shop/web", "shop/db:pg"), ("shop/db", "shop/web:http")
    for source, target in ends:
        assert "is allowed" in driftd("explain", source, target, "--manifests", manifests).out
    (manifests / "admin.yaml").write_text(ADMIN)
    first, last = (driftd("explain", source, target, "--manifests", manifests) for source, target in ends)
    assert (first.code, last.code) == (0, 0)
    assert "TCP/5432 is blocked" in first.out
    assert "without ingress rule 1 of AdminNetworkPolicy no-databases it would be allowed" in first.out
    assert "TCP/8080 is blocked" in last.out
    assert "without ingress rule 1 of BaselineAdminNetworkPolicy default it would be allowed" in last.out
