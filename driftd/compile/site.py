"""One environment with everything that compiling it needs, worked out once and read by every layer."""

from collections.abc import Mapping
from dataclasses import dataclass

from driftd.compile.edges import Edge, Way
from driftd.compile.terms import Terms
from driftd.model import Cluster, Environment
from driftd.values import PROVENANCE, Body, Origin, Resource


@dataclass(frozen=True, slots=True)
class Site:
    """An environment in its cluster, under the terms of its plan, with its graph and its ways in."""

    cluster: Cluster
    environment: Environment
    terms: Terms
    edges: tuple[Edge, ...]
    ways: tuple[Way, ...]
    origin: Origin

    @property
    def namespace(self) -> str:
        return self.environment.namespace

    @property
    def tenant(self) -> str:
        return self.environment.tenant

    def labels(self, service: str) -> dict[str, str]:
        """Labels of a service's pods."""
        return dict(sorted(self.environment.selector_labels(service).items()))


def namespaced(resource: Resource, namespace: str, name: str, origin: Origin, **content: object) -> Body:
    """An object of ours in a namespace, with the one annotation that says where in the model it comes from."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, "namespace": namespace, "annotations": {PROVENANCE: origin.provenance}},
        **content,
    }


def sorted_map(mapping: Mapping[str, str]) -> dict[str, str]:
    """A plain dictionary in the order of its keys."""
    return dict(sorted(mapping.items()))
