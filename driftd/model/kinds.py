"""Which Kubernetes kinds the model may name, and which of them may stand in it as plain manifests."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ManifestKind:
    """A kind that may stand in the model word for word, in the one version in which driftd reads and writes it."""

    group: str
    version: str
    kind: str
    namespaced: bool = True
    dialect: str = ""
    """The network layer whose kind it is; empty for Kubernetes' own."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


CALICO = "projectcalico.org"

MANIFEST_KINDS: Mapping[tuple[str, str], ManifestKind] = {
    (kind.group, kind.kind): kind
    for kind in (
        ManifestKind("", "v1", "Namespace", namespaced=False),
        ManifestKind("", "v1", "ServiceAccount"),
        ManifestKind("", "v1", "ResourceQuota"),
        ManifestKind("", "v1", "LimitRange"),
        ManifestKind("networking.k8s.io", "v1", "NetworkPolicy"),
        ManifestKind(CALICO, "v3", "Tier", namespaced=False, dialect="calico"),
        ManifestKind(CALICO, "v3", "GlobalNetworkPolicy", namespaced=False, dialect="calico"),
        ManifestKind(CALICO, "v3", "NetworkPolicy", dialect="calico"),
        ManifestKind(CALICO, "v3", "GlobalNetworkSet", namespaced=False, dialect="calico"),
        ManifestKind(CALICO, "v3", "NetworkSet", dialect="calico"),
    )
}
"""The governed kinds by (group, kind). A kind of a further layer is added here together with its compiler."""


TOLD_KINDS: Mapping[str, str] = {
    "Pod": "",
    "ReplicationController": "",
    "Service": "",
    "EndpointSlice": "discovery.k8s.io",
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"), "apps"),
    **dict.fromkeys(("Job", "CronJob"), "batch"),
    **dict.fromkeys(
        ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"), "policy.networking.k8s.io"
    ),
}
"""Kinds that are not governed and of whose objects there are findings, with their groups."""


def group_of(kind: str) -> str | None:
    """The group of a kind that driftd governs or has findings of, or None for any other."""
    governed = (known.group for known in MANIFEST_KINDS.values() if known.kind == kind)
    return next(governed, TOLD_KINDS.get(kind))


def governed_kinds() -> tuple[str, ...]:
    """Names of the governed kinds, sorted."""
    return tuple(sorted({known.kind for known in MANIFEST_KINDS.values()}))
