"""Rules across documents: each contradiction is told at its place, with its fix."""

from datetime import date

import pytest

from driftd.model import Problem, lint
from driftd.model.kinds import TOLD_KINDS
from driftd.values import ObjectRef
from tests.support.model_texts import CLUSTER, LOGS, environment, linted, model

BASE = """\
apiVersion: driftd.dev/v1alpha1
kind: Environment
metadata: {name: acme-prod}
spec:
  tenant: acme
  plan: shared
  services:
    web: {labels: {app: web}, ports: {http: 8080}, expose: [{port: http, host: shop.example.org}], calls: [CALL]}
    api: {labels: {app: api}, ports: {http: 8080, grpc: 9090}, expose: [{port: http, host: api.example.org}]}
    job: {labels: {app: job}}
  attachments:
    db: {service: {labels: {app: db}}, port: 5432}
    out: {cidr: 203.0.113.8/32, port: 443}
"""

EXEMPTION = """\
apiVersion: driftd.dev/v1alpha1
kind: Exemption
metadata: {name: x}
spec: {object: {kind: KIND, namespace: one, name: debug}, until: 2026-12-01, owner: p, reason: r}
"""


def told(problems: tuple[Problem, ...], severity: str = "error") -> list[tuple[str, str]]:
    assert all(problem.remedy and problem.line and problem.column for problem in problems)
    return [(problem.field, problem.message) for problem in problems if problem.severity == severity]


def only(problems: tuple[Problem, ...], severity: str = "error") -> Problem:
    (problem,) = [problem for problem in problems if problem.severity == severity]
    assert problem.remedy
    assert problem.line
    return problem


@pytest.mark.parametrize(
    ("call", "field", "part"),
    [
        ("{to: apj, port: http}", "to", "no service"),
        ("{to: api}", "", "several ports"),
        ("{to: api, port: htpt}", "port", "no port"),
        ("{to: job}", "to", "no ports"),
        ("{to: web}", "to", "itself"),
        ("{to: db, port: http}", "port", "no name"),
        ("{to: shared/lgos}", "to", "no SharedService"),
        ("{to: api, port: http, paths: [/x]}", "paths", "mesh"),
        ("{to: api, port: http, methods: [GET]}", "methods", "mesh"),
    ],
)
def test_a_call_leads_somewhere(call: str, field: str, part: str) -> None:
    problems = linted(acme=BASE.replace("CALL", call), logs=LOGS)
    wanted = "spec.services.web.calls[0]" + (f".{field}" if field else "")
    assert any(field == wanted and part in message for field, message in told(problems)), problems


def test_good_calls_are_silent() -> None:
    for call in ("{to: api, port: grpc}", "{to: db}", "{to: out}", "{to: shared/logs}"):
        assert linted(acme=BASE.replace("CALL", call), logs=LOGS) == ()


def test_a_wrong_name_is_answered_with_the_nearest_right_one() -> None:
    problem = only(linted(acme=BASE.replace("CALL", "{to: apii, port: http}")))
    assert problem.remedy == 'did you mean "api"?'
    assert (problem.line, problem.file) == (8, "acme.yaml")


def test_a_shared_service_permits_its_callers() -> None:
    logs = LOGS.replace("tenants: all", "tenants: [globex]")
    problem = only(linted(acme=BASE.replace("CALL", "{to: shared/logs}"), logs=logs))
    assert "permit" in problem.message
    assert problem.others == ("logs.yaml",)


def test_a_plan_that_is_not_there() -> None:
    problem = only(linted(acme=environment("a", "acme").replace("plan: shared", "plan: shraed")))
    assert (problem.field, problem.remedy) == ("spec.plan", 'did you mean "shared"?')


def test_two_environments_cannot_share_a_namespace() -> None:
    problem = only(linted(a=environment("one", "acme"), b=environment("two", "globex", namespace="one")))
    assert (problem.file, problem.field, problem.others) == ("b.yaml", "spec.namespace.name", ("a.yaml",))


@pytest.mark.parametrize("namespace", ["kube-system", "ingress", "platform-logs"])
def test_platform_namespaces_are_not_governed(namespace: str) -> None:
    problem = only(linted(a=environment("one", "acme", namespace=namespace), logs=LOGS))
    assert problem.field == "spec.namespace.name"
    assert namespace in problem.message


def test_a_namespace_manifest_governs_and_names_its_tenant() -> None:
    manifest = "apiVersion: v1\nkind: Namespace\nmetadata: {name: legacy, labels: {driftd.dev/tenant: acme}}\n"
    quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q, namespace: legacy}\nspec: {hard: {pods: '1'}}\n"
    assert linted(ns=manifest, quota=quota) == ()
    assert "driftd.dev/tenant" in only(linted(ns=manifest.replace("driftd.dev/tenant: acme", "a: b"))).message
    assert "governs" in only(linted(quota=quota)).message
    assert "compiles" in only(linted(ns=manifest, env=environment("legacy", "acme"))).message
    assert "may not be governed" in only(linted(ns=manifest.replace("legacy", "kube-system"))).message


def test_nobody_attaches_himself_to_a_governed_namespace() -> None:
    attached = BASE.replace("CALL", "{to: db}").replace(
        "service: {labels: {app: db}}", "namespace: X, labels: {app: db}"
    )
    other = environment("globex-prod", "globex")
    stolen = only(linted(acme=attached.replace("X", "globex-prod"), other=other))
    assert "tenant 'globex'" in stolen.message
    assert stolen.others == ("other.yaml",)
    own = environment("acme-stage", "acme")
    assert "another environment" in only(linted(acme=attached.replace("X", "acme-stage"), own=own)).message
    assert "own namespace" in only(linted(acme=attached.replace("X", "acme-prod"))).message
    assert linted(acme=attached.replace("X", "platform-logs")) == ()
    unknown = linted(acme=attached.replace("X", "redis-acne"))
    assert "does not know" in only(unknown, "warning").message
    assert told(unknown) == []


@pytest.mark.parametrize(
    ("cidr", "part"),
    [
        ("203.0.113.0/23", None),
        ("203.0.112.0/23", "wider than /24"),
        ("2001:db8::/63", "wider than /64"),
        ("10.244.7.0/24", "pods"),
        ("10.96.0.9/32", "services"),
        ("10.99.0.4/32", "nodes"),
        ("168.63.129.16/32", "denyCIDRs"),
        ("203.0.113.0/24", ""),
        ("2001:db8::/64", ""),
    ],
)
def test_an_attached_network_is_narrow_and_outside(cidr: str, part: str | None) -> None:
    text = BASE.replace("CALL", "{to: out}").replace("203.0.113.8/32", cidr)
    if part is None:  # host bits: the schema refuses it before any rule
        with pytest.raises(AssertionError, match="bits set"):
            linted(acme=text)
        return
    cluster = CLUSTER + "  denyCIDRs: [168.63.129.16/32]\n"
    problems = linted(acme=text, cluster=cluster)
    assert problems == () if part == "" else part in only(problems).message


def test_the_clusters_own_ranges_are_apart() -> None:
    problem = only(linted(cluster=CLUSTER.replace("10.96.0.0/16", "10.244.128.0/17")))
    assert problem.field == "spec.ranges.services[0]"


def test_exposure_names_a_tcp_port_and_a_host_of_its_own() -> None:
    wrong = BASE.replace("CALL", "{to: db}").replace("{port: http, host: shop", "{port: htp, host: shop")
    assert "no port" in only(linted(acme=wrong)).message
    udp = environment("u", "acme").replace("{http: 8080}", "{http: {number: 8080, protocol: UDP}}")
    assert "TCP" in only(linted(u=udp)).message
    thief = environment("two", "globex").replace("two.example.org", "one.example.org")
    assert "offered by" in only(linted(a=environment("one", "acme"), b=thief)).message


def test_a_pod_is_never_two_services() -> None:
    text = BASE.replace("CALL", "{to: db}")
    same = text.replace("job: {labels: {app: job}}", "job: {labels: {app: api, tier: x}}")
    assert "at once" in only(linted(acme=same)).message
    assert linted(acme=same.replace("tier: x}", "tier: x}, serviceAccount: job")) == ()


def test_a_name_is_a_service_or_an_attachment() -> None:
    text = BASE.replace("CALL", "{to: out}").replace("    db: {service", "    api: {service")
    assert "too" in only(linted(acme=text)).message


def test_the_api_server_needs_an_address() -> None:
    text = BASE.replace("CALL", "{to: db}").replace("job: {", "job: {apiServer: true, ")
    assert linted(acme=text) == ()
    blind = CLUSTER.replace(", apiServer: [10.96.0.1/32]", "")
    assert "where the API server is" in only(linted(acme=text, cluster=blind)).message


def test_wishes_that_need_a_mesh_are_errors_without_one_and_with_one_are_warned_of_as_not_enforced() -> None:
    logs = LOGS.replace(
        "port: 8080", "port: {number: 8080, app: http}, paths: ['/in/{tenant}/*'], tenantHeader: x-tenant"
    )
    fields = [field for field, _ in told(linted(logs=logs))]
    assert fields == ["spec.paths", "spec.tenantHeader"]
    meshed = linted(logs=logs, cluster=CLUSTER + "  mesh: {kind: istio}\n")
    assert [(one.severity, one.field) for one in meshed] == [("warning", field) for field in fields]
    assert all("any request" in one.message for one in meshed)


def test_paths_need_a_port_that_carries_requests() -> None:
    text = BASE.replace("CALL", "{to: api, port: http, paths: [/x]}")
    assert "http or grpc" in only(linted(acme=text, cluster=CLUSTER + "  mesh: {kind: istio}\n")).message


def test_a_shared_service_with_paths_needs_a_port_that_carries_requests() -> None:
    logs = LOGS.replace("port: 8080", "port: 8080, methods: [POST]")
    assert "http or grpc" in only(linted(logs=logs, cluster=CLUSTER + "  mesh: {kind: linkerd}\n")).message


def test_a_misspelt_kind_in_remediation_is_an_error() -> None:
    problem = only(linted(cluster=CLUSTER + "  remediation: {kinds: {NetworkPolicies: report}}\n"))
    assert problem.remedy == 'did you mean "NetworkPolicy"?'


def test_rule_files_exist() -> None:
    ruleset = (
        "apiVersion: driftd.dev/v1alpha1\nkind: FalcoRuleset\nmetadata: {name: p}\nspec: {files: [falco/x.yaml]}\n"
    )
    assert "falco/x.yaml" in only(linted(rules=ruleset)).message


def test_exemptions_that_mean_nothing_are_warned_of() -> None:
    text = EXEMPTION.replace("KIND", "NetworkPolicy")
    found = model(a=environment("one", "acme"), x=text)
    assert lint(found, date(2026, 12, 1)) == ()
    assert "ended" in only(lint(found, date(2026, 12, 2)), "warning").message
    assert lint(found) == ()
    odd = model(a=environment("one", "acme"), x=text.replace("NetworkPolicy", "NetworkPolcy"))
    assert only(lint(odd), "warning").remedy == 'did you mean "NetworkPolicy"?'
    assert "not governed" in only(linted(x=text), "warning").message


@pytest.mark.parametrize("kind", sorted(TOLD_KINDS))
def test_an_exemption_of_what_there_are_findings_of_needs_no_group(kind: str) -> None:
    text = EXEMPTION.replace("KIND", kind)
    found = model(a=environment("one", "acme"), x=text)
    assert lint(found) == ()
    assert found.exemptions[0].ref == ObjectRef(TOLD_KINDS[kind], kind, "one", "debug")


def test_a_port_that_nothing_reaches_is_a_warning() -> None:
    text = BASE.replace("CALL", "{to: db}").replace("job: {", "job: {ports: {http: 80}, ")
    assert only(linted(acme=text), "warning").field == "spec.services.job.ports"
