"""Rules about plain manifests: whose they are, and that somebody governs the place where they stand."""

from collections.abc import Callable, Iterator, Sequence

from driftd.model.explanations import closest
from driftd.model.lint.finding import Linted
from driftd.model.model import tenant_label
from driftd.model.problems import Problem
from driftd.model.schema.names import is_dns_label
from driftd.values import TENANT


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


RULES: Sequence[Callable[[Linted], Iterator[Problem]]] = (
    namespaces_name_their_tenant,
    manifests_stand_in_governed_namespaces,
)
