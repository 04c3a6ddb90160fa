"""The namespace layer: the Namespace itself, its quota and limits, its service accounts.

Pod Security enforces, audits and warns at the plan's level, with the version written out. A service account holds no
token unless a service that runs as it needs the API server; `default` is written too, because it exists whether
anybody asked for it or not.
"""

from collections.abc import Iterator

from driftd.compile.site import Site, namespaced, sorted_map
from driftd.model import Cluster
from driftd.policy.kinds import KINDS, NAMESPACE_NAME
from driftd.values import PROVENANCE, TENANT, Body

QUOTA = "quota"
LIMITS = "limits"
_POD_SECURITY = "pod-security.kubernetes.io"
_NAMESPACES = KINDS["", "Namespace"].resource
_QUOTAS = KINDS["", "ResourceQuota"].resource
_LIMITS = KINDS["", "LimitRange"].resource
_ACCOUNTS = KINDS["", "ServiceAccount"].resource


def namespace_objects(site: Site) -> Iterator[Body]:
    """The Namespace, ResourceQuota, LimitRange and ServiceAccounts of an environment."""
    yield _namespace(site)
    if site.terms.quota:
        yield namespaced(_QUOTAS, site.namespace, QUOTA, site.origin, spec=site.terms.quota)
    if site.terms.limits:
        yield namespaced(_LIMITS, site.namespace, LIMITS, site.origin, spec=site.terms.limits)
    yield from _accounts(site)


def _namespace(site: Site) -> Body:
    mesh_labels, mesh_annotations = mesh_marks(site.cluster)
    labels = {NAMESPACE_NAME: site.namespace, TENANT: site.tenant, **mesh_labels}
    for what in ("enforce", "audit", "warn"):
        labels[f"{_POD_SECURITY}/{what}"] = site.terms.plan.spec.pod_security
        labels[f"{_POD_SECURITY}/{what}-version"] = "latest"
    return {
        "apiVersion": _NAMESPACES.api_version,
        "kind": _NAMESPACES.kind,
        "metadata": {
            "name": site.namespace,
            "labels": sorted_map(labels),
            "annotations": {PROVENANCE: site.origin.provenance, **mesh_annotations},
        },
    }


def mesh_marks(cluster: Cluster) -> tuple[dict[str, str], dict[str, str]]:
    """Labels and annotations by which a namespace joins the mesh."""
    match cluster.spec.mesh.kind:
        case "istio":
            return {"istio-injection": "enabled"}, {}
        case "linkerd":
            return {}, {"linkerd.io/inject": "enabled"}
        case "none":
            return {}, {}


def _accounts(site: Site) -> Iterator[Body]:
    services = site.environment.services.values()
    granted = {service.account for service in services if service.api_server}
    for name in sorted({"default", *(service.account for service in services)}):
        mounts = name in granted
        yield namespaced(_ACCOUNTS, site.namespace, name, site.origin, automountServiceAccountToken=mounts)
