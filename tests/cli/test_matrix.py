"""`driftd matrix`: who reaches whom, both ends of each answer, and where live state and model differ."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from driftd.cli.documents import schema_of
from tests.support.cli import Items, driftd, dump, write_model
from tests.support.flow_worlds import ACME, GLOBEX, WORKLOADS
from tests.support.json_schema import errors

OPEN = {"podSelector": {}, "ingress": [{}], "egress": [{}], "policyTypes": ["Ingress", "Egress"]}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_model(tmp_path / "models", acme=ACME, globex=GLOBEX)


def policy(name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def pod(name: str, namespace: str, account: str, **labels: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    spec = {"serviceAccountName": account, "containers": [{"name": "c", "image": "i"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def cells(document: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(one["source"], one["target"]): one["connections"]["must"]["text"] for one in document["cells"]}


def test_the_model_is_shown_edge_by_edge(models: Path) -> None:
    rows = [line.split("  ") for line in driftd("matrix", "--models", models).out.splitlines()]
    shown = {(row[0], *[one.strip() for one in row[1:] if one.strip()]) for row in rows}
    assert ("acme-prod/web", "acme-prod/api", "TCP/9090") in shown
    assert ("acme-prod/web", "acme-prod/db", "TCP/5432") in shown
    assert ("ingress/gateway", "globex-prod/web", "TCP/8080") in shown
    assert not any(row[:2] == ("acme-prod/web", "globex-prod/web") for row in shown)


def test_the_document_has_both_ends_of_every_interval_and_is_what_its_schema_says(models: Path) -> None:
    document = driftd("matrix", "--models", models, "-o", "json").json()
    assert errors(document, schema_of("ReachabilityMatrix")) == []
    edge = next(
        one for one in document["cells"] if (one["source"], one["target"]) == ("acme-prod/web", "acme-prod/api")
    )
    assert edge["connections"]["must"]["text"] == "TCP/9090"
    assert "ICMP/all" in edge["connections"]["may"]["text"], "the API leaves ICMP open, and the dialect with it"
    assert (edge["crossesTenants"], document["dialect"]) == (False, "kubernetes")


def test_everything_is_called_all(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(WORKLOADS)
    document = driftd("matrix", "--manifests", tmp_path, "-o", "json").json()
    own = next(one for one in document["cells"] if (one["source"], one["target"]) == ("shop/db", "shop/web"))
    assert own["connections"]["must"] == {
        "all": True,
        "text": "all",
        "protocols": [{"protocol": name, "ports": "all"} for name in ("TCP", "UDP", "SCTP", "ICMP", "ICMPv6", "other")],
    }
    assert cells(document)["shop/web", "shop/db"] == "TCP/5432"


def test_tenants_are_told_apart_and_a_flow_between_them_is_marked(models: Path) -> None:
    def tamper(items: Items) -> None:
        items.append(policy("in", "globex-prod", OPEN))
        items.append(policy("out", "acme-prod", OPEN))
        items.append(pod("w", "acme-prod", "default", **{"app.kubernetes.io/name": "web"}))
        items.append(pod("w", "globex-prod", "default", **{"app.kubernetes.io/name": "web"}))

    ran = driftd("matrix", "--manifests", "-", "--by", "tenant", "-o", "json", stdin=dump(models, tamper))
    found = {(one["source"], one["target"]): one["crossesTenants"] for one in ran.json()["cells"]}
    assert found["acme", "globex"]
    assert ran.json()["groups"] == ["acme", "globex"]


def test_outside_addresses_come_as_disjoint_blocks(tmp_path: Path) -> None:
    block = {"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.128/25"]}}
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [block], "ports": [{"port": 443}]}]}
    (tmp_path / "all.json").write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": []}))
    (tmp_path / "pod.json").write_text(json.dumps(pod("one", "a", "default")))
    (tmp_path / "policy.json").write_text(json.dumps(policy("out", "a", spec)))
    document = driftd("matrix", "--manifests", tmp_path, "--dialect", "calico", "-o", "json").json()
    out = [one for one in document["outside"] if one["direction"] == "egress"]
    assert [(one["blocks"], one["connections"]["must"]["text"]) for one in out] == [(["198.51.100.0/25"], "TCP/443")]


def test_the_heat_map_is_well_formed_and_each_cell_tells_its_connections(models: Path) -> None:
    root = ET.fromstring(driftd("matrix", "--models", models, "-o", "svg").out)
    told = {one.text for one in root.iter("{http://www.w3.org/2000/svg}title")}
    assert "acme-prod/web \N{RIGHTWARDS ARROW} acme-prod/db: TCP/5432" in told
    assert "every port" in "".join(root.itertext()), "the legend"


def test_a_cluster_as_the_model_has_it_shows_no_difference(models: Path) -> None:
    ran = driftd("matrix", "--manifests", "-", "--against", models, stdin=dump(models))
    assert (ran.code, ran.out) == (0, "")


def test_a_policy_too_many_is_shown_by_what_it_opens_and_named(models: Path) -> None:
    def tamper(items: Items) -> None:
        items.append(policy("oops", "acme-prod", {"podSelector": {}, "ingress": [{}]}))
        items.append(policy("oops", "globex-prod", {"podSelector": {}, "egress": [{}], "policyTypes": ["Egress"]}))

    ran = driftd("matrix", "--manifests", "-", "--against", models, "-o", "json", stdin=dump(models, tamper))
    assert ran.code == 1
    document = ran.json()
    assert errors(document, schema_of("ReachabilityDifference")) == []
    crossing = [one for one in document["pairs"] if one["crossesTenants"]]
    assert {(one["source"], one["target"]) for one in crossing} == {
        ("globex-prod/web", f"acme-prod/{name}") for name in ("api", "db", "web")
    }
    assert {cause["sentence"] for cause in crossing[0]["causes"]} == {
        "NetworkPolicy globex-prod/oops, egress rule 1, is not in the model",
        "NetworkPolicy acme-prod/oops, ingress rule 1, is not in the model",
    }


def test_a_policy_that_is_missing_is_named_too(models: Path) -> None:
    def tamper(items: Items) -> None:
        items[:] = [one for one in items if one["metadata"]["name"] != "api-ingress"]

    ran = driftd("matrix", "--manifests", "-", "--against", models, stdin=dump(models, tamper))
    assert ran.code == 1
    lines = [line for line in ran.out.splitlines() if line.startswith("-")]
    assert len(lines) == 1
    assert "TCP/9090" in lines[0]
    assert "NetworkPolicy acme-prod/api-ingress, ingress rule 1, is missing" in lines[0]


def test_a_pod_is_entitled_by_labels_and_account_and_one_with_labels_alone_to_nothing(models: Path) -> None:
    """A pod that gains reach by labels it chose itself: no policy changed."""

    def tamper(items: Items) -> None:
        items.append(pod("real", "acme-prod", "api", **{"app.kubernetes.io/name": "api"}))
        items.append(pod("rogue", "acme-prod", "default", **{"app.kubernetes.io/name": "api"}))

    ran = driftd("matrix", "--manifests", "-", "--against", models, "-o", "json", stdin=dump(models, tamper))
    pairs = {(one["source"], one["target"]): one for one in ran.json()["pairs"]}
    assert set(pairs) == {("acme-prod/web", "acme-prod/rogue")}
    cause = pairs["acme-prod/web", "acme-prod/rogue"]["causes"][0]
    assert cause["object"]["name"] == "rogue"
    assert "app.kubernetes.io/name=(none) -> api" in cause["sentence"]


def test_without_live_state_there_is_nothing_to_compare_with_a_model(models: Path) -> None:
    ran = driftd("matrix", "--against", models)
    assert ran.code == 2
    assert "give --kubeconfig or --manifests too" in ran.err


def test_a_folder_without_pods_says_so(tmp_path: Path) -> None:
    (tmp_path / "only.json").write_text(json.dumps(policy("out", "a", {"podSelector": {}})))
    ran = driftd("matrix", "--manifests", tmp_path)
    assert "no pods or workloads were read" in ran.err


def test_a_foreign_label_on_a_namespace_is_nobodys_drift(models: Path) -> None:
    """A platform policy selects namespaces by a label that the model does not write: both sides have it."""
    peer = {"namespaceSelector": {"matchLabels": {"team": "a"}}}

    def tamper(items: Items) -> None:
        space = next(one for one in items if one["kind"] == "Namespace" and one["metadata"]["name"] == "acme-prod")
        space["metadata"]["labels"]["team"] = "a"
        items.append(policy("from-a", "elsewhere", {"podSelector": {}, "ingress": [{"from": [peer]}]}))
        items.append(pod("tool", "elsewhere", "default"))

    ran = driftd("matrix", "--manifests", "-", "--against", models, stdin=dump(models, tamper))
    assert (ran.code, ran.out) == (0, ""), ran.err


def test_addresses_of_nodes_are_named_and_what_may_pass_is_explained(models: Path) -> None:
    ran = driftd("matrix", "--models", models)
    assert "10.99.0.0/24 (nodes)" in ran.out
    assert "perhaps: the dialect leaves it open, or a rule is not understood; take it for allowed\n" in ran.err


def test_of_very_many_workloads_the_document_leaves_out_what_the_dialect_leaves_open_and_says_so(
    tmp_path: Path,
) -> None:
    pods = [pod(f"p{index}", f"n{index}", "default") for index in range(501)]
    closed = [policy("closed", f"n{index}", {"podSelector": {}, "policyTypes": ["Ingress"]}) for index in range(501)]
    (tmp_path / "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [*pods, *closed]}))
    document = driftd("matrix", "--manifests", tmp_path, "-o", "json", "--by", "tenant").json()
    assert document["cells"] == []
    assert any("only TCP, UDP and SCTP" in note for note in document["notes"])
    few = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*pods[:3], *closed[:3]]})
    document = driftd("matrix", "--manifests", "-", "-o", "json", stdin=few).json()
    assert document["cells"], "between few pods it is told"
    assert not any("only TCP" in note for note in document["notes"])


def admin_policy(action: str) -> dict[str, Any]:
    """For every pod, both ways, before any NetworkPolicy."""
    everybody: list[dict[str, Any]] = [{"namespaces": {}}]
    spec = {
        "priority": 1,
        "subject": {"namespaces": {}},
        "ingress": [{"name": "all", "action": action, "from": everybody}],
        "egress": [{"name": "all", "action": action, "to": everybody}],
    }
    head = {"apiVersion": "policy.networking.k8s.io/v1alpha1", "kind": "AdminNetworkPolicy"}
    return {**head, "metadata": {"name": "everybody"}, "spec": spec}


def web_pods() -> list[dict[str, Any]]:
    return [pod("w", space, "default", **{"app.kubernetes.io/name": "web"}) for space in ("acme-prod", "globex-prod")]


def test_what_an_admin_policy_lets_through_crosses_tenants_though_every_network_policy_is_the_models(
    models: Path,
) -> None:
    def crossings(*more: dict[str, Any]) -> dict[tuple[str, str], str]:
        text = dump(models, lambda items: items.extend([*web_pods(), *more]))
        ran = driftd("matrix", "--manifests", "-", "--by", "tenant", "-o", "json", stdin=text)
        assert ran.code == 0, ran.err
        crossing = {(one["source"], one["target"]) for one in ran.json()["cells"] if one["crossesTenants"]}
        return {pair: text for pair, text in cells(ran.json()).items() if pair in crossing and text != "none"}

    assert crossings() == {}
    assert crossings(admin_policy("Allow")) == {("acme", "globex"): "all", ("globex", "acme"): "all"}


def test_beside_a_model_admin_policies_stand_on_both_sides(models: Path) -> None:
    def hole(items: Items) -> None:
        items += [policy("in", "globex-prod", OPEN), policy("out", "acme-prod", OPEN), *web_pods()]

    def shut(items: Items) -> None:
        hole(items)
        items.append(admin_policy("Deny"))

    def pairs(tamper: Callable[[Items], Any]) -> list[dict[str, Any]]:
        ran = driftd("matrix", "--manifests", "-", "--against", models, "-o", "json", stdin=dump(models, tamper))
        found: list[dict[str, Any]] = ran.json()["pairs"]
        return found

    assert ("acme-prod/w", "globex-prod/w") in {(one["source"], one["target"]) for one in pairs(hole)}
    assert pairs(shut) == []
