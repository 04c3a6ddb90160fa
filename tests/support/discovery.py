"""What the API server answers when it is asked which kinds it serves."""

from typing import Any

from tests.support.api_server import ApiServer, answer

VERBS = ["get", "list", "watch"]


def found(resource: str, kind: str, scope: str = "Namespaced", verbs: list[str] = VERBS) -> dict[str, Any]:
    return {"resource": resource, "responseKind": {"kind": kind}, "scope": scope, "verbs": verbs}


def aggregated(*groups: tuple[str, list[dict[str, Any]]]) -> dict[str, Any]:
    items = [{"metadata": {"name": name} if name else {}, "versions": versions} for name, versions in groups]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def serve(server: ApiServer, core: dict[str, Any], groups: dict[str, Any]) -> None:
    server.routes["GET", "/api"] = answer(200, core)
    server.routes["GET", "/apis"] = answer(200, groups)


CORE = aggregated(("", [{"version": "v1", "resources": [found("namespaces", "Namespace", "Cluster")]}]))
