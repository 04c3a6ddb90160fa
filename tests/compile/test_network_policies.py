"""What the graph says, and nothing else, is what the policies allow."""

from typing import Any

from driftd.compile import Compiled, compile_model
from driftd.policy.kinds import KINDS
from driftd.values import ObjectRef
from tests.support.models import CLUSTER, PLAN, written

Json = dict[str, Any]
GATEWAY = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}},
    "podSelector": {"matchLabels": {"app": "gateway"}},
}
SHOP = """
apiVersion: driftd.dev/v1alpha1
kind: Environment
metadata: {name: shop}
spec:
  tenant: acme
  plan: shared
  services:
    web: {labels: {app: web}, ports: {http: 8080}, expose: [{port: http, host: shop.example.com}], calls: [{to: api}]}
    api: {labels: {app: api}, ports: {http: 8081}, calls: [{to: db}, {to: cache}, {to: geo}]}
  attachments:
    db: {service: {labels: {app: db}}, port: {number: 5432}}
    cache: {namespace: redis, labels: {app: redis}, port: 6379}
    geo: {cidr: 203.0.113.8/32, port: {number: 53, protocol: UDP}}
"""


def spec(compiled: Compiled, name: str, namespace: str = "shop") -> Json:
    ref = ObjectRef("networking.k8s.io", "NetworkPolicy", namespace, name)
    found: Json = compiled.governed[namespace].objects[ref].body()["spec"]
    return found


def names(compiled: Compiled, namespace: str = "shop") -> list[str]:
    return [ref.name for ref in compiled.governed[namespace].objects if ref.kind == "NetworkPolicy"]


def pods(app: str) -> Json:
    return {"podSelector": {"matchLabels": {"app": app}}}


def tcp(number: int) -> list[Json]:
    return [{"protocol": "TCP", "port": number}]


def test_each_service_has_one_policy_a_direction_it_needs() -> None:
    compiled = compile_model(written(SHOP))
    assert names(compiled) == [
        "api-egress",
        "api-ingress",
        "db-ingress",
        "default-deny",
        "web-egress",
        "web-ingress",
    ]
    assert spec(compiled, "default-deny") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_both_ends_of_an_edge_are_opened_and_only_for_its_port() -> None:
    compiled = compile_model(written(SHOP))
    assert spec(compiled, "web-egress") == {
        **pods("web"),
        "policyTypes": ["Egress"],
        "egress": [{"to": [pods("api")], "ports": tcp(8081)}],
    }
    assert spec(compiled, "api-ingress") == {
        **pods("api"),
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [pods("web")], "ports": tcp(8081)}],
    }


def test_an_exposed_service_is_entered_through_the_gateway_only() -> None:
    ingress = spec(compile_model(written(SHOP)), "web-ingress")
    assert ingress["ingress"] == [{"from": [GATEWAY], "ports": tcp(8080)}]


def test_attachments_are_reached_by_their_callers_only() -> None:
    compiled = compile_model(written(SHOP))
    redis = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "redis"}},
        "podSelector": {"matchLabels": {"app": "redis"}},
    }
    geo = {"to": [{"ipBlock": {"cidr": "203.0.113.8/32"}}], "ports": [{"protocol": "UDP", "port": 53}]}
    allowed = spec(compiled, "api-egress")["egress"]
    assert len(allowed) == 3
    for rule in (geo, {"to": [redis], "ports": tcp(6379)}, {"to": [pods("db")], "ports": tcp(5432)}):
        assert rule in allowed
    assert spec(compiled, "db-ingress") == {
        **pods("db"),
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [pods("api")], "ports": tcp(5432)}],
    }


def test_an_attachment_that_nobody_calls_opens_nothing() -> None:
    idle = """
    apiVersion: driftd.dev/v1alpha1
    kind: Environment
    metadata: {name: shop}
    spec: {tenant: acme, plan: shared, services: {web: {}}, attachments: {db: {service: {labels: {app: db}}, port: 1}}}
    """
    assert names(compile_model(written(idle))) == ["default-deny"]


def test_dns_goes_to_the_pods_own_port_over_both_protocols_and_to_a_cache_on_53() -> None:
    cluster = CLUSTER.replace("{k8s-app: kube-dns}}", "{k8s-app: kube-dns}, port: 5353, nodeLocalIP: 169.254.20.10/32}")
    compiled = compile_model(written(SHOP, cluster=cluster, plan=PLAN.replace("dns: false", "dns: true")))
    first, second = spec(compiled, "web-egress")["egress"][:2]
    assert first["ports"] == [{"protocol": "TCP", "port": 5353}, {"protocol": "UDP", "port": 5353}]
    assert first["to"][0]["podSelector"] == {"matchLabels": {"k8s-app": "kube-dns"}}
    assert second["to"] == [{"ipBlock": {"cidr": "169.254.20.10/32"}}]
    assert second["ports"] == [{"protocol": "TCP", "port": 53}, {"protocol": "UDP", "port": 53}]


def test_only_services_have_dns_and_internet_because_other_pods_are_entitled_to_nothing() -> None:
    plan = PLAN.replace("{dns: false}", "{dns: true, https: public}")
    compiled = compile_model(written(SHOP, plan=plan))
    for name in names(compiled):
        found = spec(compiled, name)
        if not found["podSelector"]:
            assert found.keys() == {"podSelector", "policyTypes"}


def test_the_api_server_is_open_to_services_that_say_so() -> None:
    asking = SHOP.replace("web: {labels: {app: web}", "web: {apiServer: true, labels: {app: web}")
    compiled = compile_model(written(asking))
    ports = [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 6443}]
    rule = {"to": [{"ipBlock": {"cidr": "10.96.0.1/32"}}], "ports": ports}
    assert rule in spec(compiled, "web-egress")["egress"]
    assert rule not in spec(compiled, "api-egress")["egress"]


def test_meshes_keep_their_control_plane() -> None:
    plain = "platformNamespaces"
    istio = CLUSTER.replace(plain, "mesh: {kind: istio}\n  platformNamespaces")
    rules = spec(compile_model(written(SHOP, cluster=istio)), "web-egress")["egress"]
    assert rules[0]["ports"] == tcp(15012)
    linkerd = CLUSTER.replace(plain, "mesh: {kind: linkerd}\n  platformNamespaces")
    compiled = compile_model(written(SHOP, cluster=linkerd))
    assert [rule["ports"] for rule in spec(compiled, "web-egress")["egress"]] == [
        [*tcp(8086), *tcp(8090)],
        tcp(8080),
        [*tcp(4143), *tcp(8081)],
    ]
    udp = SHOP.replace("{http: 8081}", "{http: {number: 8081, protocol: UDP}}")
    assert spec(compile_model(written(udp, cluster=linkerd)), "api-ingress")["ingress"][0]["ports"] == [
        {"protocol": "UDP", "port": 8081}
    ]
    geo = next(rule for rule in spec(compiled, "api-egress")["egress"] if "ipBlock" in rule["to"][0])
    assert geo["ports"] == [{"protocol": "UDP", "port": 53}]


LOGS = """
apiVersion: driftd.dev/v1alpha1
kind: SharedService
metadata: {name: logs}
spec: {namespace: platform, labels: {app: collector}, port: 9000, callers: {tenants: all}, policies: write}
"""


def caller(name: str, *calls: str) -> str:
    listed = ", ".join(f"{{to: {call}}}" for call in calls)
    return f"""
    apiVersion: driftd.dev/v1alpha1
    kind: Environment
    metadata: {{name: {name}}}
    spec: {{tenant: acme, plan: shared, services: {{web: {{labels: {{app: web}}, calls: [{listed}]}}}}}}
    """


def test_a_shared_service_is_guarded_by_one_named_policy() -> None:
    compiled = compile_model(written(LOGS, caller("one", "shared/logs"), caller("two", "shared/logs"), caller("three")))
    platform = compiled.governed["platform"]
    assert (platform.closed, platform.tenant, platform.lifecycle) == (False, "", "adopt")
    assert names(compiled, "platform") == ["driftd-logs-ingress"]
    chosen = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["one", "two"]}
    assert spec(compiled, "driftd-logs-ingress", "platform") == {
        **pods("collector"),
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": [{"namespaceSelector": {"matchExpressions": [chosen]}, **pods("web")}], "ports": tcp(9000)}
        ],
    }


def test_a_shared_service_without_callers_is_closed_and_one_that_is_only_printed_is_left_alone() -> None:
    guarded = compile_model(written(LOGS, caller("one")))
    assert "ingress" not in spec(guarded, "driftd-logs-ingress", "platform")
    printed = compile_model(written(LOGS.replace("write", "print"), caller("one", "shared/logs")))
    assert list(printed.governed) == ["one"]
    assert spec(printed, "web-egress", "one")["egress"][0]["ports"] == tcp(9000)


def test_every_default_is_written_out() -> None:
    compiled = compile_model(written(SHOP, LOGS, caller("one", "shared/logs")))
    kind = KINDS["networking.k8s.io", "NetworkPolicy"]
    for governed in compiled.governed.values():
        for ref, desired in governed.objects.items():
            if ref.kind == "NetworkPolicy":
                found = desired.body()["spec"]
                covered = kind.covered(desired.body(), compiled.coverage)["spec"]
                assert sorted(found["policyTypes"]) == covered["policyTypes"]
                for direction in ("ingress", "egress"):
                    for rule in found.get(direction, ()):
                        assert all(port.keys() == {"protocol", "port"} for port in rule["ports"])
                        assert len(rule.get("from") or rule.get("to")) == 1
