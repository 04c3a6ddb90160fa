"""Rules about plain manifests: whose they are, and that somebody governs the place where they stand."""

from collections.abc import Callable, Iterator, Sequence

from driftd.model.explanations import closest
from driftd.model.kinds import CALICO, MANIFEST_KINDS
from driftd.model.lint.finding import Linted
from driftd.model.model import tenant_label
from driftd.model.problems import Problem
from driftd.model.schema.names import is_dns_label
from driftd.values import TENANT

_BUILT_IN_TIERS = ("kube-admin", "default", "kube-baseline")
"""Tiers that Calico makes itself."""


def namespaces_name_their_tenant(linted: Linted) -> Iterator[Problem]:
    """A governed namespace is somebody's."""
    for manifest in linted.model.namespace_manifests().values():
        tenant = tenant_label(manifest)
        if not tenant:
            message = f"the Namespace does not say whose it is: the label {TENANT} is missing"
            yield linted.tell(
                "error",
                manifest.origin.document,
                ("metadata", "labels"),
                message,
                f"add `{TENANT}: <tenant>` to its labels",
            )
        elif not is_dns_label(tenant):
            path = ("metadata", "labels", TENANT)
            message = f"{tenant[:80]!r} is no tenant's name"
            yield linted.tell("error", manifest.origin.document, path, message, "use a-z, 0-9 and '-'")


def manifests_stand_in_governed_namespaces(linted: Linted) -> Iterator[Problem]:
    """Nothing is written into a namespace that the model does not govern."""
    for manifest in linted.model.manifests:
        namespace = manifest.ref.namespace
        if namespace and namespace not in linted.governed:
            yield linted.tell(
                "error",
                manifest.origin.document,
                ("metadata", "namespace"),
                f"no Environment and no Namespace manifest governs {namespace!r}",
                f"add a Namespace manifest for it; {closest(namespace, linted.governed)}",
            )


def kinds_are_of_the_network_layer(linted: Linted) -> Iterator[Problem]:
    """Another network layer's kinds are seen and told, never written: canonical they cannot be."""
    dialect = linted.model.cluster.spec.cni.dialect
    for manifest in linted.model.manifests:
        kind = MANIFEST_KINDS[manifest.ref.group, manifest.ref.kind]
        if kind.dialect not in ("", dialect):
            yield linted.tell(
                "error",
                manifest.origin.document,
                ("kind",),
                f"a {kind.kind} of {kind.group} is governed where `cni.dialect` is {kind.dialect}, and it is {dialect}",
                f"set `cni.dialect: {kind.dialect}` in the Cluster, or keep the manifest elsewhere",
                against=(f"Cluster/{linted.model.cluster.name}",),
            )


def tiers_are_known(linted: Linted) -> Iterator[Problem]:
    """A policy in a tier that nobody makes is not enforced."""
    cni = linted.model.cluster.spec.cni
    known = {*_BUILT_IN_TIERS, cni.calico.name}
    known |= {one.ref.name for one in linted.model.manifests if one.ref.kind == "Tier"}
    for manifest in linted.model.manifests:
        spec = manifest.body.get("spec")
        tier = spec.get("tier") if isinstance(spec, dict) else None
        if manifest.ref.group == CALICO and isinstance(tier, str) and tier not in known:
            yield linted.tell(
                "error",
                manifest.origin.document,
                ("spec", "tier"),
                f"there is no tier {tier[:80]!r} in the model, and Calico makes none of that name",
                f"add a Tier manifest for it; {closest(tier, sorted(known))}",
            )


RULES: Sequence[Callable[[Linted], Iterator[Problem]]] = (
    namespaces_name_their_tenant,
    manifests_stand_in_governed_namespaces,
    kinds_are_of_the_network_layer,
    tiers_are_known,
)
