"""What a cluster with pods needs besides its programs, as objects: Cilium's custom resources, and the cluster's DNS."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from driftd.lab.nodes.network import DOMAIN
from driftd.values import Body

DNS_IMAGE = "driftd.dev/coredns:lab"
DNS_NAMESPACE, DNS_NAME = "kube-system", "coredns"
_DNS_LABELS = {"k8s-app": "kube-dns"}
# Short times to live: a lab's Services come and go within one test.
_COREFILE = f"""
.:53 {{
    errors
    health
    ready
    kubernetes {DOMAIN} in-addr.arpa {{
        ttl 1
    }}
    cache 1
}}
"""


def custom_resources(folder: Path) -> Iterator[Body]:
    """The definitions that the agent watches; it waits for all of them."""
    for file in sorted(folder.rglob("*.yaml")):
        yield from (document for document in yaml.safe_load_all(file.read_text()) if document)


def dns_objects(address: str) -> tuple[tuple[str, Body], ...]:
    """CoreDNS as a Deployment behind the Service `kube-dns`, each object with the path it is created under."""
    named = {"name": DNS_NAME, "namespace": DNS_NAMESPACE}
    rules = [
        {"apiGroups": [""], "resources": ["services", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    ports: list[dict[str, Any]] = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ]
    core, rbac = f"/api/v1/namespaces/{DNS_NAMESPACE}", "/apis/rbac.authorization.k8s.io/v1"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "lab:coredns"}
    subject = {"kind": "ServiceAccount", **named}
    return (
        (f"{core}/serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named}),
        (
            f"{core}/configmaps",
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"Corefile": _COREFILE}},
        ),
        (
            f"{rbac}/clusterroles",
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": {"name": role["name"]},
                "rules": rules,
            },
        ),
        (
            f"{rbac}/clusterrolebindings",
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": role["name"]},
                "roleRef": role,
                "subjects": [subject],
            },
        ),
        (
            f"{core}/services",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "kube-dns", "namespace": DNS_NAMESPACE, "labels": _DNS_LABELS},
                "spec": {"clusterIP": address, "selector": _DNS_LABELS, "ports": ports},
            },
        ),
        (
            f"/apis/apps/v1/namespaces/{DNS_NAMESPACE}/deployments",
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": named,
                "spec": {
                    "selector": {"matchLabels": _DNS_LABELS},
                    "template": {"metadata": {"labels": _DNS_LABELS}, "spec": _dns_pod()},
                },
            },
        ),
    )


def _dns_pod() -> Body:
    return {
        "serviceAccountName": DNS_NAME,
        "dnsPolicy": "Default",
        "priorityClassName": "system-cluster-critical",
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "coredns",
                "image": DNS_IMAGE,
                "imagePullPolicy": "Never",
                "args": ["-conf", "/etc/coredns/Corefile"],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
                "volumeMounts": [{"name": "configuration", "mountPath": "/etc/coredns"}],
            }
        ],
        "volumes": [{"name": "configuration", "configMap": {"name": DNS_NAME}}],
    }
