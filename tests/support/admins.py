"""Live admin policies in few words, and as the mirror would have them."""

from typing import Any

import orjson

from driftd.drift import AdminPolicies
from driftd.policy.kinds import Coverage, digests_under
from driftd.values import Body, Live, ObjectRef, Resource

GROUP = "policy.networking.k8s.io"


def spaces(*names: str, **labels: str) -> Body:
    """The namespaces of these names, with these labels; every one where nothing is said."""
    wanted = {"kubernetes.io/metadata.name": names[0]} if len(names) == 1 else {}
    if len(names) > 1:
        return {
            "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(names)}],
            "matchLabels": labels,
        }
    return {"matchLabels": {**wanted, **labels}}


def admin(
    name: str, subject: Body, *rules: Body, priority: int = 10, kind: str = "AdminNetworkPolicy", **more: Any
) -> Body:
    """An AdminNetworkPolicy (v1alpha1), or its baseline; each rule says its flow: `ingress` or `egress`."""
    spec: Body = {"subject": {"namespaces": subject}, **more}
    if kind == "AdminNetworkPolicy":
        spec["priority"] = priority
    for one in rules:
        for flow in ("ingress", "egress"):
            if flow in one:
                spec.setdefault(flow, []).append(one[flow])
    return {"apiVersion": f"{GROUP}/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def incoming(action: str, selector: Body, **more: Any) -> Body:
    return {"ingress": {"action": action, "from": [{"namespaces": selector}], **more}}


def outgoing(action: str, selector: Body, **more: Any) -> Body:
    return {"egress": {"action": action, "to": [{"namespaces": selector}], **more}}


def ref_of(body: Body) -> ObjectRef:
    return ObjectRef(GROUP, body["kind"], "", body["metadata"]["name"])


def lived(body: Body) -> Live:
    """The object as a mirror has it."""
    version = body["apiVersion"].rpartition("/")[2]
    digest = digests_under(Coverage())(Resource(GROUP, version, body["kind"], "any", namespaced=False), body)
    return Live(ref_of(body), orjson.dumps(body), digest, "uid", "1", terminating=False, managers=())


def living(*bodies: Body, seen: bool = True) -> AdminPolicies:
    """All that live."""
    return AdminPolicies({ref_of(body): lived(body) for body in bodies}, seen)
