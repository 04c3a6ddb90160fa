"""The platform tier of a Calico cluster: what no policy of a tenant can undo.

One Tier with an order before Calico's own `default`, and in it one GlobalNetworkPolicy a tenant, over the namespaces of
its environments by name: it denies whatever crosses from one tenant to another, both ways, and its last rule passes the
rest on, to the NetworkPolicies. So a NetworkPolicy that opens a namespace to everybody opens it to its own tenant at
most. Other tenants are told by the label that driftd keeps on every governed namespace; so the guard of one tenant
stays as it is when another one comes or goes. The tier's default is Pass as well: a policy that somebody puts there
without rules cuts nobody off.

A policy's name begins with its tier's, which Calico 3.29 to 3.31 demand and every other version takes.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from driftd.model import Cluster
from driftd.policy.kinds import CALICO, KINDS, NAMESPACE_NAME, MalformedObjectError, written_out
from driftd.policy.reach import MalformedSelector, calico_selector
from driftd.values import PROVENANCE, TENANT, Body, Origin

_TIER: Final = KINDS[CALICO, "Tier"].resource
_GLOBAL_POLICY: Final = KINDS[CALICO, "GlobalNetworkPolicy"].resource
_SELECTORS: Final = frozenset({"selector", "notSelector", "namespaceSelector", "serviceAccountSelector"})
_GUARD_ORDER: Final = 100
_PODS: Final = "projectcalico.org/orchestrator == 'k8s'"
"""Pods alone: without it a rule takes the addresses of NetworkSets in those namespaces as well, and a tenant that names
somebody's addresses in a set of its own would cut all others off from them."""


def platform_tier(cluster: Cluster, tenants: Mapping[str, Iterable[str]], origin: Origin) -> Iterator[Body]:
    """The tier, and the guard of each tenant; `tenants` has the namespaces of its environments by tenant."""
    calico = cluster.spec.cni.calico
    yield _named(_TIER.kind, calico.name, origin, {"order": calico.order, "defaultAction": "Pass"})
    for tenant, namespaces in sorted(tenants.items()):
        names = ", ".join(f"'{name}'" for name in sorted(namespaces))
        others = {"namespaceSelector": f"has({TENANT}) && {TENANT} != '{tenant}'", "selector": _PODS}
        yield _named(
            _GLOBAL_POLICY.kind,
            f"{calico.name}.{tenant}",
            origin,
            {
                "tier": calico.name,
                "order": _GUARD_ORDER,
                "selector": "all()",
                "namespaceSelector": f"{NAMESPACE_NAME} in {{ {names} }}",
                "types": ["Egress", "Ingress"],
                "ingress": [{"action": "Deny", "source": others}, {"action": "Pass"}],
                "egress": [{"action": "Deny", "destination": others}, {"action": "Pass"}],
            },
        )


def as_canonical(body: Body) -> Body:
    """A manifest of one of Calico's kinds with its defaults written out: no server may fill them in otherwise.

    Raises:
        MalformedObjectError: a selector that Calico could not read.
    """
    for where, text in _selectors(body.get("spec"), "spec"):
        try:
            calico_selector(text)
        except MalformedSelector as fault:
            raise MalformedObjectError(where, f"a selector in Calico's language ({fault})", text) from fault
    return written_out(body) if body["kind"].endswith("NetworkPolicy") else body


def _named(kind: str, name: str, origin: Origin, spec: Body) -> Body:
    return {
        "apiVersion": _TIER.api_version,
        "kind": kind,
        "metadata": {"name": name, "annotations": {PROVENANCE: origin.provenance}},
        "spec": spec,
    }


def _selectors(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, part in value.items():
            if key in _SELECTORS and isinstance(part, str):
                yield f"{where}.{key}", part
            else:
                yield from _selectors(part, f"{where}.{key}")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _selectors(part, f"{where}[{index}]")
