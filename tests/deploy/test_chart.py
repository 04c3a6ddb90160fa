"""The chart: what it renders, what its schema refuses, and that the plain manifests are what it renders."""

import json
from typing import Any

import pytest
import yaml

from driftd.app.rights import needed_rights
from driftd.policy.kinds import KINDS, POLICY_GROUPS, World
from driftd.policy.kinds.bearing import _BESIDE
from driftd.settings import Settings
from tests.deploy.rendered import DIGEST, FILES, MANIFESTS, chart_digest, rendered
from tests.support.helm import CHART, helm, template

Body = dict[str, Any]
POSTGRES = ("--set", "replicas=2,store.url=postgresql+asyncpg://driftd@pg/driftd")


def documents(text: str) -> list[Body]:
    return [body for body in yaml.safe_load_all(text) if body]


def one(bodies: list[Body], kind: str, name: str = "driftd") -> Body:
    found = [body for body in bodies if body["kind"] == kind and body["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} {kind} {name}"
    return found[0]


@pytest.fixture
def shipped() -> list[Body]:
    """Everything in the plain manifests: needs no helm."""
    return [body for name in FILES.values() for body in documents((MANIFESTS / name).read_text())]


# -- the chart and the manifests --------------------------------------------------------------------------------------


def test_the_chart_has_not_changed_since_the_manifests_were_rendered() -> None:
    assert DIGEST.read_text().strip() == chart_digest(), "the chart changed: run `make manifests`"


def test_the_manifests_are_what_the_chart_renders() -> None:
    for name, text in rendered().items():
        assert (MANIFESTS / name).read_text() == text, f"{name} is stale: run `make manifests`"


def test_helm_finds_no_fault_in_the_chart() -> None:
    done = helm("lint", str(CHART), "--strict")
    assert done.returncode == 0, done.stdout + done.stderr


# -- rights -----------------------------------------------------------------------------------------------------------

READ = ("get", "list", "watch")
CLOSED = (*READ, "create", "update", "delete")
OPEN = (*READ, "create", "update")
CALICO = ("globalnetworkpolicies", "globalnetworksets", "networkpolicies", "networksets")
BESIDE = {
    ("k8s.cni.cncf.io", "multi-networkpolicies"): "MultiNetworkPolicy",
    ("k8s.cni.cncf.io", "network-attachment-definitions"): "NetworkAttachmentDefinition",
    ("networking.gke.io", "fqdnnetworkpolicies"): "FQDNNetworkPolicy",
    ("networking.gke.io", "networkloggings"): "NetworkLogging",
    ("network.openshift.io", "egressnetworkpolicies"): "EgressNetworkPolicy",
    ("network.openshift.io", "netnamespaces"): "NetNamespace",
    ("telemetry.istio.io", "telemetries"): "Telemetry",
}
"""Kinds that bear policy in groups of which driftd reads nothing else, by resource."""
TIERED = ("tier.networkpolicies", "tier.globalnetworkpolicies")
GOLDEN: dict[tuple[str, str], tuple[str, ...]] = {
    ("networking.k8s.io", "networkpolicies"): CLOSED,
    ("", "resourcequotas"): CLOSED,
    ("", "limitranges"): CLOSED,
    ("", "namespaces"): OPEN,
    ("", "serviceaccounts"): OPEN,
    **{(group, kind): CLOSED for group in ("projectcalico.org", "crd.projectcalico.org") for kind in CALICO},
    **{(group, "tiers"): OPEN for group in ("projectcalico.org", "crd.projectcalico.org")},
    **{("projectcalico.org", kind): CLOSED for kind in TIERED},
    ("", "pods"): READ,
    ("", "services"): READ,
    ("discovery.k8s.io", "endpointslices"): READ,
    **{
        (group, "*"): READ
        for group in (
            "cilium.io",
            "policy.networking.k8s.io",
            "crd.antrea.io",
            "projectcalico.org",
            "crd.projectcalico.org",
            "security.istio.io",
            "networking.istio.io",
            "extensions.istio.io",
            "policy.linkerd.io",
            "networking.k8s.aws",
            "vpcresources.k8s.aws",
            "k8s.ovn.org",
            "kubeovn.io",
        )
    },
    **dict.fromkeys(BESIDE, READ),
    ("apiextensions.k8s.io", "customresourcedefinitions"): READ,
    ("events.k8s.io", "events"): ("create",),
    ("authentication.k8s.io", "tokenreviews"): ("create",),
    ("authorization.k8s.io", "subjectaccessreviews"): ("create",),
}
"""Every right that driftd has in the whole cluster. A line here is a decision: say in the chart why it is needed."""

OWN_GOLDEN = {
    ("coordination.k8s.io", "leases", ""): ("create",),
    ("coordination.k8s.io", "leases", "driftd"): ("get", "update"),
    ("", "configmaps", ""): ("create",),
    ("", "configmaps", "driftd-fence"): ("get", "update"),
}
"""And in its own namespace, by name."""

UNASKED: dict[tuple[str, str], tuple[str, ...]] = {
    # Watched as soon as they are served: whatever is of a group that exists for policy, and the named kinds of others.
    **{(group, "*"): READ for group in POLICY_GROUPS},
    **dict.fromkeys(BESIDE, READ),
    # Calico's API server asks for these when a policy of a tier is read or written; no other server knows them.
    **{("projectcalico.org", kind): CLOSED for kind in TIERED},
}
"""Rights that `needed_rights` does not name, and why they are granted all the same."""
DIALECTS = ("kubernetes", "calico", "cilium")


def granted(role: Body) -> dict[tuple[str, str, str], tuple[str, ...]]:
    found: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for rule in role["rules"]:
        assert set(rule) <= {"apiGroups", "resources", "resourceNames", "verbs"}
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", [""]):
                    assert (group, resource, name) not in found, "said twice"
                    found[group, resource, name] = tuple(rule["verbs"])
    return found


def test_driftd_has_these_rights_and_no_others(shipped: list[Body]) -> None:
    everywhere = {key[:2]: verbs for key, verbs in granted(one(shipped, "ClusterRole")).items()}
    assert everywhere == GOLDEN
    assert granted(one(shipped, "Role")) == OWN_GOLDEN
    for kind in ("ClusterRoleBinding", "RoleBinding"):
        bound = one(shipped, kind)
        assert bound["subjects"] == [{"kind": "ServiceAccount", "name": "driftd", "namespace": "driftd"}]
    kinds = [body["kind"] for body in shipped]
    assert [kinds.count(kind) for kind in ("ClusterRoleBinding", "Role", "RoleBinding")] == [1, 1, 1]
    named = [body["metadata"]["name"] for body in shipped if body["kind"] == "ClusterRole"]
    assert named == ["driftd", "driftd-viewer", "driftd-operator"], "the last two are for people, and bound to nobody"
    for name in named[1:]:
        assert [
            rule for rule in one(shipped, "ClusterRole", name)["rules"] if rule["apiGroups"] != ["driftd.dev"]
        ] == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_right_that_the_daemon_uses_is_granted(shipped: list[Body], dialect: str) -> None:
    everywhere, own = granted(one(shipped, "ClusterRole")), granted(one(shipped, "Role"))
    for right in needed_rights("driftd", "driftd", dialect):
        held = own if right.namespace else everywhere
        assert right.verb in held[right.group, right.resource, right.name], str(right)


def test_no_right_is_granted_that_the_daemon_does_not_use(shipped: list[Body]) -> None:
    used = {
        (right.namespace, right.group, right.resource, right.name, right.verb)
        for dialect in DIALECTS
        for right in needed_rights("driftd", "driftd", dialect)
    }
    roles = (("", one(shipped, "ClusterRole")), ("driftd", one(shipped, "Role")))
    held = {(where, *key, verb) for where, role in roles for key, verbs in granted(role).items() for verb in verbs}
    assert held - used == {
        ("", group, resource, "", verb) for (group, resource), verbs in UNASKED.items() for verb in verbs
    }


def test_every_kind_that_bears_policy_may_be_read() -> None:
    """Seen: security groups for pods, served on every EKS, were watched and could not be read: blind for good."""
    assert {(group, kind) for (group, _), kind in BESIDE.items()} == _BESIDE
    assert {group for group, resource in GOLDEN if resource == "*"} == POLICY_GROUPS


def test_the_chart_governs_every_kind_that_driftd_governs_and_deletes_of_closed_kinds_only(shipped: list[Body]) -> None:
    wanted = {}
    for kind in KINDS.values():
        verbs = CLOSED if kind.world is World.CLOSED else OPEN
        wanted[kind.resource.group, kind.resource.plural] = verbs
    assert {key: GOLDEN.get(key) for key in wanted} == wanted
    fence = one(shipped, "ValidatingAdmissionPolicy", "driftd-fence")
    fenced = {
        (group, plural)
        for rule in fence["spec"]["matchConstraints"]["resourceRules"]
        for group in rule["apiGroups"]
        for plural in rule["resources"]
    }
    assert {(group, plural) for group, plural in fenced if group != "crd.projectcalico.org"} == set(wanted)
    named = next(
        variable["expression"]
        for variable in one(shipped, "ValidatingAdmissionPolicy", "driftd-bounds")["spec"]["variables"]
        if variable["name"] == "governed"
    )
    for group, plural in fenced:
        assert f"'{plural}.{group}'" in named if group else f"'{plural}'" in named


def test_an_uninstall_keeps_the_fence_and_nothing_else(shipped: list[Body]) -> None:
    kept = [body["kind"] for body in shipped if "helm.sh/resource-policy" in body["metadata"].get("annotations", {})]
    fence = [body["kind"] for body in shipped if body["metadata"]["name"] == "driftd-fence"]
    assert kept == fence == ["ConfigMap", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]
    for kind in fence:
        assert one(shipped, kind, "driftd-fence")["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_without_calico_its_kinds_are_only_read() -> None:
    bodies = documents(template("--set", "calico.governed=false"))
    writes = {key for key, verbs in granted(one(bodies, "ClusterRole")).items() if "update" in verbs}
    assert not {key for key in writes if "calico" in key[0]}
    assert "calico" not in str(one(bodies, "ValidatingAdmissionPolicy", "driftd-fence"))


# -- the pod ----------------------------------------------------------------------------------------------------------


def test_the_pod_meets_the_restricted_profile_and_writes_to_its_volumes_only(shipped: list[Body]) -> None:
    deployment = one(shipped, "Deployment")
    spec = deployment["spec"]["template"]["spec"]
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert deployment["spec"]["replicas"] == 1
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"] == {"memory": "256Mi"}
    assert {probe: container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")} == {
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    assert spec["priorityClassName"] == one(shipped, "PriorityClass")["metadata"]["name"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec)
    assert not [volume for volume in spec["volumes"] if "hostPath" in volume]


def test_the_namespace_of_the_plain_manifests_takes_restricted_pods_only(shipped: list[Body]) -> None:
    labels = one(shipped, "Namespace")["metadata"]["labels"]
    assert labels == {"pod-security.kubernetes.io/enforce": "restricted"}


def test_driftds_own_network_policy_lets_nobody_in_unless_told(shipped: list[Body]) -> None:
    policy = one(shipped, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    ports = sorted({port["port"] for rule in policy["egress"] for port in rule["ports"]})
    assert ports == [53, 443, 6443]


def test_only_who_is_named_may_scrape(shipped: list[Body]) -> None:
    assert "ingress" not in one(shipped, "NetworkPolicy")["spec"], "metrics name tenants"
    peers = [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]
    bodies = documents(template("--set-json", f"networkPolicy.metricsFrom={json.dumps(peers)}"))
    (rule,) = one(bodies, "NetworkPolicy")["spec"]["ingress"]
    assert rule == {"from": peers, "ports": [{"protocol": "TCP", "port": 8080}]}


NAMED = (
    "--set", "store.url=postgresql://driftd@pg:6432/driftd,settings.model.git.url=ssh://git@host/model.git",
    "--set", "settings.telemetry.otlp_endpoint=http://collector:4318/v1/traces",
    "--set-json", 'settings.paging.alertmanager_urls=["http://a:9093","https://b"]',
)  # fmt: skip


def outside(*args: str) -> Body:
    """The last egress rule of driftd's own policy."""
    rule: Body = one(documents(template(*args)), "NetworkPolicy")["spec"]["egress"][-1]
    return rule


def test_its_network_policy_opens_the_ports_of_what_the_values_name() -> None:
    assert sorted(port["port"] for port in outside(*NAMED)["ports"]) == [22, 443, 4318, 6432, 9093]
    assert outside("--set", "store.urlSecret.name=pg")["ports"] == [{"protocol": "TCP", "port": 5432}]


@pytest.mark.parametrize(
    ("name", "ports"),
    [
        ("DRIFTD_STORE__URL", {5432}),
        ("DRIFTD_MODEL__GIT__URL", {22, 443}),
        ("DRIFTD_TELEMETRY__OTLP_ENDPOINT", {4318}),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", {4318}),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", {4318}),
        ("DRIFTD_PAGING__ALERTMANAGER_URLS", {9093}),
        ("DRIFTD_PAGING__PAGERDUTY_KEY", {443}),
        ("DRIFTD_PAGING__ROUTES", {443}),
        ("HTTPS_PROXY", {3128}),
        ("HTTP_PROXY", {3128}),
    ],
)
def test_its_network_policy_opens_the_usual_ports_of_an_address_in_a_secret(name: str, ports: set[int]) -> None:
    rule = outside("--set", f"secretSettings.{name}.name=a,secretSettings.{name}.key=b")
    assert {port["port"] for port in rule["ports"]} == ports
    assert "to" not in rule


@pytest.mark.parametrize(
    ("values", "ports"),
    [
        ({"settings": {"store": {"url": "postgresql://pg/driftd"}}}, {5432}),
        ({"settings": {"model": {"git": {"url": "git@host:team/model.git"}}}}, {22}),
        ({"settings": {"model": {"git": {"url": "https://host:8443/model.git"}}}}, {8443}),
        ({"settings": {"paging": {"routes": [{"name": "acme", "pagerduty_key_file": "/etc/driftd/acme/key"}]}}}, {443}),
        ({"settings": {"paging": {"routes": [{"name": "acme", "pagerduty_key": "k"}]}}}, {443}),
        ({"settings": {"paging": {"pagerduty_key_file": "/k", "pagerduty_url": "https://pager:8443"}}}, {8443}),
        ({"env": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4328"}}, {4328}),
        ({"env": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector/v1/traces"}}, {443}),
        ({"env": {"HTTPS_PROXY": "http://proxy:8118", "HTTP_PROXY": "10.0.0.1:8119"}}, {8118, 8119}),
    ],
)
def test_its_network_policy_opens_the_ports_of_addresses_wherever_they_are_named(values: Body, ports: set[int]) -> None:
    given = [part for key, value in values.items() for part in ("--set-json", f"{key}={json.dumps(value)}")]
    rule = outside(*given)
    assert {port["port"] for port in rule["ports"]} == ports
    assert "to" not in rule


def test_rules_of_ones_own_take_the_place_of_those_ports() -> None:
    mine = {"to": [{"ipBlock": {"cidr": "10.1.0.0/24"}}], "ports": [{"protocol": "TCP", "port": 6432}]}
    assert outside(*NAMED, "--set-json", f"networkPolicy.egress=[{json.dumps(mine)}]") == mine


def test_more_replicas_roll_and_get_a_disruption_budget_and_no_shared_volume() -> None:
    bodies = documents(template(*POSTGRES))
    spec = one(bodies, "Deployment")["spec"]
    assert spec["strategy"]["type"] == "RollingUpdate"
    assert one(bodies, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert not [body for body in bodies if body["kind"] == "PersistentVolumeClaim"]
    assert data_of(bodies) == {"emptyDir": {"sizeLimit": "1Gi"}}
    env = {entry["name"]: entry.get("value") for entry in spec["template"]["spec"]["containers"][0]["env"]}
    assert env["DRIFTD_STORE__URL"] == "postgresql+asyncpg://driftd@pg/driftd"


def data_of(bodies: list[Body]) -> Body:
    """The volume that the daemon's data lies in."""
    volumes = one(bodies, "Deployment")["spec"]["template"]["spec"]["volumes"]
    (volume,) = [volume for volume in volumes if volume["name"] == "data"]
    return {key: value for key, value in volume.items() if key != "name"}


@pytest.mark.parametrize(
    "database",
    ["store.url=", "store.url=postgresql://pg/driftd", "store.urlSecret.name=pg"],
    ids=["none", "url", "secret"],
)
def test_one_replica_keeps_its_volume_whichever_database_it_has(database: str) -> None:
    """The last good model and the journal lie there; a claim of one pod bears no second one beside it."""
    bodies = documents(template("--set", database))
    assert data_of(bodies) == {"persistentVolumeClaim": {"claimName": "driftd"}}
    assert one(bodies, "PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert one(bodies, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize(("database", "strategy"), [("", "Recreate"), ("postgresql://pg/driftd", "RollingUpdate")])
def test_without_a_claim_the_data_goes_with_the_pod(database: str, strategy: str) -> None:
    bodies = documents(template("--set", f"store.volume.persistent=false,store.url={database}"))
    assert data_of(bodies) == {"emptyDir": {"sizeLimit": "1Gi"}}
    assert not [body for body in bodies if body["kind"] == "PersistentVolumeClaim"]
    assert one(bodies, "Deployment")["spec"]["strategy"]["type"] == strategy


def test_replicas_are_spread_over_nodes_and_a_new_revision_does_not_count_the_pods_that_it_replaces() -> None:
    spec = one(documents(template(*POSTGRES)), "Deployment")["spec"]
    (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["labelSelector"] == spec["selector"]
    assert spread["matchLabelKeys"] == ["pod-template-hash"]


def test_settings_arrive_as_the_daemon_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    text = template(
        "--set", "settings.audit.relist_seconds=1000", "--set", "settings.log.json_lines=false",
        "--set-string", "settings.model.git.branch=12345",
        "--set-json", 'settings.paging.alertmanager_urls=["http://a:9093","http://b:9093"]',
    )  # fmt: skip
    env = one(documents(text), "Deployment")["spec"]["template"]["spec"]["containers"][0]["env"]
    for entry in env:
        if "value" in entry:
            monkeypatch.setenv(entry["name"], entry["value"])
    settings = Settings()
    assert settings.audit.relist_seconds == 1000
    assert settings.log.json_lines is False
    assert settings.model.git.branch == "12345"
    assert settings.paging.alertmanager_urls == ("http://a:9093", "http://b:9093")


def test_the_api_is_a_port_of_the_service_only_with_a_certificate(shipped: list[Body]) -> None:
    assert [port["name"] for port in one(shipped, "Service")["spec"]["ports"]] == ["metrics"]
    bodies = documents(template("--set", "api.certificateSecret=tls,api.from[0].podSelector.matchLabels.app=ui"))
    assert [port["name"] for port in one(bodies, "Service")["spec"]["ports"]] == ["metrics", "api"]
    (rule,) = one(bodies, "NetworkPolicy")["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8081}]
    pod = one(bodies, "Deployment")["spec"]["template"]["spec"]
    env = {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}
    assert env["DRIFTD_WEB__API_CERTIFICATE_FILE"] == "/etc/driftd/api/tls.crt"
    assert {"name": "api", "secret": {"secretName": "tls", "defaultMode": 0o440}} in pod["volumes"]


def test_secrets_come_from_secrets() -> None:
    text = template(
        "--set", "store.urlSecret.name=pg", "--set", "secretSettings.DRIFTD_X.name=s,secretSettings.DRIFTD_X.key=k",
        "--set", "secretFiles={git-key}",
    )  # fmt: skip
    pod = one(documents(text), "Deployment")["spec"]["template"]["spec"]
    env = {entry["name"]: entry.get("valueFrom", {}).get("secretKeyRef") for entry in pod["containers"][0]["env"]}
    assert env["DRIFTD_STORE__URL"] == {"name": "pg", "key": "url"}
    assert env["DRIFTD_X"] == {"name": "s", "key": "k"}
    assert {"name": "secret-git-key", "mountPath": "/etc/driftd/git-key", "readOnly": True} in pod["containers"][0][
        "volumeMounts"
    ]


def test_opentelemetrys_variables_and_the_proxys_arrive_plain_or_from_a_secret() -> None:
    """A collector's certificate and headers, and the way out, have no other name, and the doctor asks for them."""
    headers = "secretSettings.OTEL_EXPORTER_OTLP_HEADERS"
    text = template(
        "--set", "env.OTEL_EXPORTER_OTLP_CERTIFICATE=/etc/driftd/collector/ca.crt,env.HTTPS_PROXY=http://proxy:3128",
        "--set", f"env.NO_PROXY=10.0.0.0/8\\,.svc,{headers}.name=collector,{headers}.key=headers",
    )  # fmt: skip
    env = one(documents(text), "Deployment")["spec"]["template"]["spec"]["containers"][0]["env"]
    said = {entry["name"]: entry.get("value") or entry["valueFrom"].get("secretKeyRef") for entry in env}
    assert said["OTEL_EXPORTER_OTLP_CERTIFICATE"] == "/etc/driftd/collector/ca.crt"
    assert said["HTTPS_PROXY"] == "http://proxy:3128"
    assert said["NO_PROXY"] == "10.0.0.0/8,.svc"
    assert said["OTEL_EXPORTER_OTLP_HEADERS"] == {"name": "collector", "key": "headers"}


def test_protected_namespaces_and_label_keys_reach_the_bounds() -> None:
    text = template(
        "--set", "protectedNamespaces={kube-*,ingress}", "--set", "namespaceLabels={driftd.dev/,zone}",
        "--namespace", "iso",
    )  # fmt: skip
    bounds = str(one(documents(text), "ValidatingAdmissionPolicy", "driftd-bounds"))
    assert "variables.home.startsWith('kube-') || variables.home in ['ingress']" in bounds
    assert "key in ['zone'] || ['driftd.dev/'].exists(" in bounds
    assert "system:serviceaccount:iso:driftd" in bounds


# -- the schema -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "about"),
    [
        ("replicas=2", "/store"),
        ("replicas=0", "/replicas"),
        ("store.url=mysql://pg/driftd", "/store/url"),
        ("store.url=postgresql://driftd:secret@pg/driftd", "/store/url"),
        ("replica=1", "replica"),
        ("image.digest=latest", "/image/digest"),
        ("protectedNamespaces={ingress}", "/protectedNamespaces"),
        ("model.configMap=a,model.files.a\\.yaml=b", "/model"),
        ("model.files.a\\.txt=b", "a.txt"),
        ("settings.Audit=1", "Audit"),
        ("settings.paging.routes=[]", "/settings/paging/routes"),
        ("settings.paging.alertmanager_urls=http://a:9093", "/settings/paging/alertmanager_urls"),
        ("secretSettings.PASSWORD.name=a,secretSettings.PASSWORD.key=b", "PASSWORD"),
        ("env.PYTHONPATH=/tmp", "PYTHONPATH"),
        ("env.DRIFTD_LOG__LEVEL=debug", "DRIFTD_LOG__LEVEL"),
        ("env.HTTPS_PROXY=http://me:secret@proxy:3128", "/env/HTTPS_PROXY"),
        ("namespaceLabels={a'b}", "/namespaceLabels"),
        ("admission.enabled=perhaps", "/admission/enabled"),
    ],
)
def test_the_schema_refuses(value: str, about: str) -> None:
    with pytest.raises(ValueError, match=about):
        template("--set", value)
