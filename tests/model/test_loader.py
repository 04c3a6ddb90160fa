"""Loading: files into one model, or every reason why not, each with its place and its fix."""

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftd.model import Parser, SourceFile, load
from tests.support.model_texts import CLUSTER, LOGS, PLAN, environment, files, loaded, model

BROKEN = """\
apiVersion: driftd.dev/v1alpha1
kind: Environment
metadata: {name: acme}
spec:
  tenant: acme
  paln: shared
  services:
    web: {prots: {http: 8080}, ports: {a: "80", b: {nmber: 1}}, calls: [{to: db, methods: [PSOT]}]}
  attachments:
    geo: {cidr: 203.0.113.8, port: 443}
    wide: {cidr: 203.0.113.8/24, port: 443}
    odd: {srevice: {labels: {a: b}}, port: 70000}
    mixed: {cidr: 203.0.113.9/32, labels: {a: b}, port: 1}
"""


def test_each_refusal_names_file_line_column_field_and_fix() -> None:
    problems = loaded(acme=BROKEN).problems
    told = {(p.line, p.column, p.field): (p.message, p.remedy) for p in problems}
    assert all(p.file == "acme.yaml" and p.remedy for p in problems)
    assert told[6, 3, "spec.paln"][1] == 'did you mean "plan"?'
    assert "missing" in told[4, 1, "spec.plan"][0]
    assert told[8, 11, "spec.services.web.prots"][1] == 'did you mean "ports"?'
    assert "port" in told[8, 43, "spec.services.web.ports.a"][0]
    assert told[8, 53, "spec.services.web.ports.b.nmber"][1] == 'did you mean "number"?'
    assert told[8, 92, "spec.services.web.calls[0].methods[0]"][1] == 'did you mean "POST"?'
    assert told[10, 17, "spec.attachments.geo.cidr"][1].startswith("write 203.0.113.8/32")
    assert "203.0.113.0/24" in told[11, 18, "spec.attachments.wide.cidr"][1]
    assert told[12, 5, "spec.attachments.odd"][1] == 'did you mean "service"?'
    assert "does not go with" in told[13, 35, "spec.attachments.mixed.labels"][0]


def test_a_problem_reads_as_one_line() -> None:
    text = str(loaded(acme=BROKEN).problems[0])
    assert text.startswith("acme.yaml:4:1: error: spec.plan: ")
    assert "\n" not in text


def test_there_is_a_model_exactly_when_there_is_no_error() -> None:
    assert loaded().model is not None
    assert loaded(acme=BROKEN).model is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("- a\n", "mapping"),
        ("kind: Plan\n", "apiVersion"),
        (PLAN.replace("v1alpha1", "v1"), "version"),
        (PLAN.replace("kind: Plan", "kind: Paln"), "Paln"),
        (PLAN.replace("name: shared", "name: Shared"), "DNS label"),
        (PLAN.replace("name: shared", "name: sh\u0430red"), "DNS label"),  # a Cyrillic letter that looks like an a
        (PLAN.replace("name: shared", "name: 7"), "string"),
        (PLAN + "spec: {quota: {pods: many}}\n", "quantity"),
        (PLAN + "spec: {egress: {dns: 'true'}}\n", "true or false"),
        (PLAN + "spec:\n", "found null"),
        (LOGS.replace("8080", "0"), "greater than or equal to 1"),
        (LOGS.replace("labels: {app: logs}", "labels: {}"), "at least 1"),
        (LOGS.replace("{app: logs}", "{app: '-x'}"), "label value"),
        (LOGS.replace("{app: logs}", "{a b: x}"), "label key"),
    ],
)
def test_the_schema_is_strict(text: str, part: str) -> None:
    problems = loaded(other=text).problems
    assert any(part in problem.message for problem in problems), [str(problem) for problem in problems]
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems)


def test_a_model_has_one_cluster() -> None:
    assert "no Cluster" in load(files({"plan.yaml": PLAN})).problems[0].message
    twice = loaded(other=CLUSTER.replace("name: test", "name: more")).problems
    assert "one Cluster" in twice[0].message
    assert twice[0].others == ("cluster.yaml",)


def test_a_name_stands_once_and_both_places_are_told() -> None:
    (problem,) = loaded(a=environment("acme", "acme"), b=environment("acme", "acme")).problems
    assert (problem.file, problem.line) == ("b.yaml", 3)
    assert problem.others == ("a.yaml",)
    assert "a.yaml:1" in problem.remedy


def test_the_order_of_the_files_does_not_matter() -> None:
    given_files = files({"cluster.yaml": CLUSTER, "plan.yaml": PLAN, "b.yaml": BROKEN, "a.yaml": BROKEN})
    assert load(given_files) == load(given_files[::-1])


def test_origins_name_file_line_and_document() -> None:
    found = model(acme="# a comment\n---\n" + environment("acme-prod", "acme"))
    origin = found.origin("Environment", "acme-prod")
    assert str(origin) == "acme.yaml:3 (Environment/acme-prod)"
    assert origin.provenance == "acme.yaml#Environment/acme-prod"
    assert found.origin("Environment", "acme-prod", "spec", "services", "web", "ports", "http").line == 11
    with pytest.raises(KeyError):
        found.origin("Environment", "nobody")


def test_files_that_are_no_documents_are_left_alone() -> None:
    texts = {
        "cluster.yaml": CLUSTER,
        "README.md": ": [",
        ".github/workflows/x.yaml": "- [",
        "environments/.acme.yaml.swp.yaml": "[",
        "falco/rules.yaml": "- rule: x\n",
        "falco/set.yaml": "apiVersion: driftd.dev/v1alpha1\nkind: FalcoRuleset\nmetadata: {name: p}\n"
        "spec: {files: [falco/rules.yaml]}\n",
        "empty.yaml": "# nothing yet\n",
    }
    result = load(files(texts))
    assert result.problems == ()
    assert result.model is not None
    assert result.model.falco_files == {"falco/rules.yaml": b"- rule: x\n"}


def test_ports_have_a_short_and_a_long_form() -> None:
    text = environment("acme", "acme").replace("{http: 8080}", "{http: 8080, m: {number: 53, protocol: UDP, app: tcp}}")
    ports = model(acme=text).environments["acme"].services["web"].ports
    assert (ports["http"].number, ports["http"].protocol, ports["http"].app) == (8080, "TCP", "tcp")
    assert (ports["m"].number, ports["m"].protocol) == (53, "UDP")


def test_defaults_are_safe() -> None:
    found = model(acme=environment("acme-prod", "acme"), logs=LOGS.replace(", callers: {tenants: all}", ""))
    spec = found.plans["shared"].spec
    assert (spec.egress.https, spec.pod_security, spec.tenant_policies) == ("none", "restricted", "never")
    assert (spec.quota, spec.limits) == (None, None)
    assert found.cluster.spec.remediation.mode == "report"
    assert not found.shared_services["logs"].permits("acme")
    environment_ = found.environments["acme-prod"]
    assert environment_.namespace == "acme-prod"
    assert environment_.spec.namespace.lifecycle == "create"
    assert environment_.selector_labels("web") == {"app.kubernetes.io/name": "web"}
    assert environment_.account("web") == "default"
    assert not environment_.services["web"].api_server


def test_a_node_local_address_is_one_address() -> None:
    cluster = CLUSTER.replace("dns: {", "dns: {nodeLocalIP: X, ")
    for text in ("169.254.20.10", "169.254.20.10/32"):
        assert model(cluster=cluster.replace("X", text)).cluster.spec.dns.node_local_ip == "169.254.20.10/32"
    for text in ("169.254.20.0/24", "node-local"):
        assert loaded(cluster=cluster.replace("X", text)).problems[0].field == "spec.dns.nodeLocalIP"


def test_a_changed_file_is_read_and_the_others_are_remembered() -> None:
    parser = Parser()
    texts = {"cluster.yaml": CLUSTER, "plan.yaml": PLAN} | {
        f"e{i}.yaml": environment(f"e{i}", "acme") for i in range(20)
    }
    first = load(files(texts), parser)
    assert parser.read == 22
    texts["e7.yaml"] = environment("e7", "acme", port=9000)
    second = load(files(texts), parser)
    assert parser.read == 23
    assert first.model is not None
    assert second.model is not None
    assert second.model.environments["e7"].services["web"].ports["http"].number == 9000
    assert second == load(files(texts))


def test_a_parser_forgets_what_was_used_least_recently() -> None:
    parser = Parser(max_files=2)
    one, two, three = (SourceFile(f"{n}.yaml", PLAN.encode()) for n in "abc")
    for file in (one, two, one, three, one):
        parser.parse(file)
    assert parser.read == 3
    parser.parse(two)
    assert parser.read == 4


def test_file_names_that_could_lie_in_a_log_are_refused() -> None:
    for path in ("a\nb.yaml", "\u0430.yaml", "a\x1b[2J.yaml", "x" * 600 + ".yaml"):
        result = load((*files({"cluster.yaml": CLUSTER}), SourceFile(path, PLAN.encode())))
        (problem,) = result.problems
        assert "name" in problem.message
        assert problem.file.isprintable()
        assert problem.file.isascii()


VALID = (CLUSTER, PLAN, LOGS, environment("acme", "acme"))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.sampled_from(VALID), start=st.integers(0, 400), length=st.integers(0, 30), put=st.binary(max_size=12))
def test_a_spoilt_file_is_told_and_never_raises(text: str, start: int, length: int, put: bytes) -> None:
    data = text.encode()
    start = min(start, len(data))
    spoilt = data[:start] + put + data[start + length :]
    result = load((SourceFile("cluster.yaml", CLUSTER.encode()), SourceFile("spoilt.yaml", spoilt)))
    assert (result.model is None) == bool(result.problems)
    for problem in result.problems:
        assert problem.message
        assert problem.remedy
        assert str(problem).isprintable()


KEYS = (
    *("apiVersion", "kind", "metadata", "name", "spec", "services", "attachments", "ports", "calls", "to", "port"),
    *("cidr", "namespace", "labels", "service", "object", "files", "annotations", "x", "driftd.dev/tenant"),
)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70000) | st.sampled_from(["", "acme", "http", "10.0.0.0/8", "x/y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(
        ["Cluster", "Plan", "Environment", "SharedService", "FalcoRuleset", "Exemption", "Namespace", "NetworkPolicy"]
    ),
    version=st.sampled_from(["driftd.dev/v1alpha1", "v1", "networking.k8s.io/v1"]),
    metadata=TREES,
    spec=TREES,
)
def test_any_tree_under_any_kind_is_answered(kind: str, version: str, metadata: object, spec: object) -> None:
    body = orjson.dumps({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
    result = load((SourceFile("cluster.yaml", CLUSTER.encode()), SourceFile("tree.yaml", body)))
    assert (result.model is None) == bool(result.problems)
    assert all(problem.remedy for problem in result.problems)


def test_a_file_full_of_faults_is_told_up_to_a_bound_and_quickly() -> None:
    many = "---\n".join(["apiVersion: driftd.dev/v1alpha1\nkind: Plan\nmetadata: {nmae: x}\n"] * 5000)
    wide = PLAN + "spec:\n" + "".join(f"  field{number}: 1\n" for number in range(20_000))
    for text in (many, wide):
        problems = loaded(other=text).problems
        assert 50 <= len(problems) <= 60
