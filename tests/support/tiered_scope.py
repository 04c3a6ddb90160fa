"""One scope of a Calico cluster as a plain store of objects, and who may talk to whom there by the naive evaluator."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

import orjson

from driftd.compile import Compiled, GovernedNamespace
from driftd.drift.compare import Comparison, compare
from driftd.drift.state import LiveScope
from driftd.values import PROVENANCE, Body, ObjectRef, Scope
from tests.oracle.bodies import Cluster
from tests.oracle.calico import allowed
from tests.oracle.worlds import Allowed
from tests.support.drift_scope import ORIGIN, TODAY, Store, compiled_of, governed_of, scope_of_bodies

V3 = "projectcalico.org/v3"
TENANTS = {"acme": "acme", "globex": "globex"}
OUTSIDE = ("203.0.113.7", "198.51.100.9")
PORTS = (80, 443)


def calico(kind: str, name: str, spec: Body, namespace: str = "", **metadata: Any) -> Body:
    place = {"namespace": namespace} if namespace else {}
    kept = {"name": name, **place, "annotations": {PROVENANCE: ORIGIN.provenance}, **metadata}
    return {"apiVersion": V3, "kind": kind, "metadata": kept, "spec": spec}


def home(name: str) -> Body:
    labels = {"kubernetes.io/metadata.name": name}
    labels |= {"driftd.dev/tenant": TENANTS[name]} if name in TENANTS else {}
    metadata = {"name": name, "labels": labels, "annotations": {PROVENANCE: ORIGIN.provenance}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def pod(namespace: str, name: str, number: int) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"containers": [{"name": "main"}]},
        "status": {"phase": "Running", "podIPs": [{"ip": f"10.244.0.{number}"}]},
    }


PODS = (pod("acme", "a", 1), pod("acme", "b", 2), pod("globex", "a", 3), pod("system", "dns", 4))
NAMESPACES = tuple(home(name) for name in ("acme", "globex", "system"))


class TieredStore(Store):
    """A scope of a cluster whose dialect is calico. `beside` is what other scopes hold: it stays as it is."""

    def __init__(self, bodies: Iterable[Body], scope: Scope, beside: Iterable[Body] = ()) -> None:
        super().__init__(bodies)
        self.scope = scope
        self.beside = tuple(beside)

    def live(self, governed: GovernedNamespace) -> LiveScope:
        absent = frozenset(ref for ref in governed.objects if ref not in self.objects)
        return scope_of_bodies(self.bodies(), scope=self.scope, proved_absent=absent)

    def look(self, governed: GovernedNamespace) -> Comparison:
        return compare(tiered_model(governed), governed, self.live(governed), TODAY)

    def flows(self) -> frozenset[tuple[str, str, int]]:
        """Every connection that may be made."""
        bodies = [{key: value for key, value in body.items() if key != "status"} for body in self.bodies()]
        return flows(tuple(sorted(orjson.dumps(_timeless(body)) for body in (*bodies, *self.beside))))


def tiered_model(scope: GovernedNamespace) -> Compiled:
    """A model of two tenants, of which one scope is given."""
    spaces = {name: governed_of([home(name)], name=name, tenant=tenant) for name, tenant in TENANTS.items()}
    wide = scope if not scope.name else governed_of([], name="")
    if scope.name:
        spaces[scope.name] = scope
    return compiled_of(*spaces.values(), dialect="calico", tier="driftd", cluster_wide=wide)


def _timeless(body: Body) -> Body:
    kept = {key: body["metadata"][key] for key in ("name", "namespace", "labels") if key in body["metadata"]}
    return {**body, "metadata": kept}


@lru_cache(maxsize=20_000)
def flows(objects: tuple[bytes, ...]) -> frozenset[tuple[str, str, int]]:
    bodies = [orjson.loads(one) for one in objects]
    spaces = {body["metadata"]["name"]: body for body in NAMESPACES}
    spaces |= {body["metadata"]["name"]: body for body in bodies if body["kind"] == "Namespace"}
    policies = [body for body in bodies if body["kind"].endswith("Policy")]
    others = [body for body in bodies if body["kind"] != "Namespace" and not body["kind"].endswith("Policy")]
    cluster = Cluster(namespaces=list(spaces.values()), pods=list(PODS), policies=policies, others=others)
    ends: list[Any] = [*PODS, *(ip_address(one) for one in OUTSIDE)]
    return frozenset(
        (_named(one), _named(other), port)
        for one in ends
        for other in ends
        if one is not other and (isinstance(one, dict) or isinstance(other, dict))
        for port in PORTS
        if allowed(cluster, one, other, "TCP", port) is not Allowed.NO
    )


def _named(end: Any) -> str:
    return f"{end['metadata']['namespace']}/{end['metadata']['name']}" if isinstance(end, dict) else str(end)


def ref(body: Body) -> ObjectRef:
    group = body["apiVersion"].rpartition("/")[0]
    return ObjectRef(group, body["kind"], body["metadata"].get("namespace", ""), body["metadata"]["name"])
