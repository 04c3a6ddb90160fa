"""Rules about namespaces: who governs which, and which are nobody's but the platform's."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from driftd.model.lint.finding import Linted
from driftd.model.places import Path
from driftd.model.problems import Problem
from driftd.model.schema import WorkloadAttachment


def one_environment_a_namespace(linted: Linted) -> Iterator[Problem]:
    """Two environments in one namespace would each see the other's policies as drift, and their pods would mix."""
    first: dict[str, str] = {}
    for environment in linted.environments():
        before = first.setdefault(environment.namespace, environment.name)
        if before == environment.name:
            continue
        yield linted.tell(
            "error",
            environment,
            _namespace_path(environment.spec.namespace.name),
            f"the namespace {environment.namespace!r} belongs to Environment {before!r} already "
            f"({linted.where(f'Environment/{before}')})",
            "give one of the two another `namespace.name`",
            against=(f"Environment/{before}",),
        )


def environment_or_manifest(linted: Linted) -> Iterator[Problem]:
    """A namespace is described by an Environment or by plain manifests, never by both."""
    manifests = linted.model.namespace_manifests()
    for environment in linted.environments():
        if environment.namespace in manifests:
            document = f"Namespace/{environment.namespace}"
            yield linted.tell(
                "error",
                document,
                ("metadata", "name"),
                f"Environment {environment.name!r} ({linted.where(f'Environment/{environment.name}')}) compiles this "
                "namespace already",
                "delete the manifest or the Environment",
                against=(f"Environment/{environment.name}",),
            )


def reserved(linted: Linted) -> Mapping[str, tuple[str, str]]:
    """Namespaces that may not be governed: why, and the document that says so. The attachments' come on their own."""
    cluster = linted.model.cluster
    name = f"Cluster/{cluster.name}"
    found: dict[str, tuple[str, str]] = {}
    for shared in linted.model.shared_services.values():
        found[shared.spec.namespace] = (f"holds the SharedService {shared.name!r}", f"SharedService/{shared.name}")
    if cluster.spec.falco.install != "none":
        found[cluster.spec.falco.namespace] = ("holds Falco", name)
    if cluster.spec.mesh.root:
        found[cluster.spec.mesh.root] = ("is the mesh's own", name)
    found[cluster.spec.gateway.namespace] = ("holds the gateway", name)
    found[cluster.spec.dns.namespace] = ("holds the name service", name)
    for namespace in cluster.spec.platform_namespaces:
        found[namespace] = ("is one of the `platformNamespaces`", name)
    return found


def platform_is_not_governed(linted: Linted) -> Iterator[Problem]:
    """What belongs to the platform is never written for a tenant."""
    for namespace, (why, document) in reserved(linted).items():
        for governor in linted.governors(namespace):
            environment = linted.model.environments.get(governor.removeprefix("Environment/"))
            path: Path = ("metadata", "name")
            if environment is not None and governor.startswith("Environment/"):
                path = _namespace_path(environment.spec.namespace.name)
            yield linted.tell(
                "error",
                governor,
                path,
                f"the namespace {namespace!r} {why} and may not be governed",
                "choose another namespace",
                against=(document,),
            )


def attachments_stay_at_home(linted: Linted) -> Iterator[Problem]:
    """Nobody attaches himself to another tenant's namespace: what it offers to others is a SharedService."""
    declared = {*reserved(linted), *linted.governed}
    for environment in linted.environments():
        for name, attachment in environment.attachments.items():
            if not isinstance(attachment, WorkloadAttachment):
                continue
            path = ("spec", "attachments", name, "namespace")
            governors = linted.governors(attachment.namespace)
            if attachment.namespace == environment.namespace:
                message = f"{attachment.namespace!r} is this environment's own namespace"
                yield linted.tell("error", environment, path, message, "write `service: {labels: ...}` instead")
            elif governors:
                owner = linted.governed[attachment.namespace]
                whose = f"tenant {owner!r}" if owner != environment.tenant else "another environment"
                yield linted.tell(
                    "error",
                    environment,
                    path,
                    f"the namespace {attachment.namespace!r} is governed and belongs to {whose}",
                    "attach what the platform runs, or offer it as a SharedService",
                    against=governors,
                )
            elif attachment.namespace not in declared:
                yield linted.tell(
                    "warning",
                    environment,
                    path,
                    f"the model does not know the namespace {attachment.namespace!r}",
                    "check the spelling; add it to the Cluster's `platformNamespaces` if the platform runs it",
                )


def _namespace_path(said: str | None) -> Path:
    return ("spec", "namespace", "name") if said else ("metadata", "name")


RULES: Sequence[Callable[[Linted], Iterator[Problem]]] = (
    one_environment_a_namespace,
    environment_or_manifest,
    platform_is_not_governed,
    attachments_stay_at_home,
)
