"""Kind Environment: one tenant's namespace with its services, what they call and how they are reached."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from driftd.model.schema.names import Cidr, DnsLabel, Host, Method, PathPattern, Subdomain
from driftd.model.schema.parts import Document, Labels, Part, Port, PortSpec, Remediation

NAME_LABEL = "app.kubernetes.io/name"
"""Label that finds a service's pods when the service names no labels."""
SHARED_PREFIX = "shared/"
"""What a call to a SharedService starts with."""


class EnvironmentNamespace(Part):
    """The namespace behind the environment."""

    name: DnsLabel | None = Field(default=None, description="Its name. Unset: the environment's own name.")
    lifecycle: Literal["create", "adopt"] = Field(
        default="create", description="`create` makes a missing namespace; `adopt` compares it but never creates it."
    )


class Exposure(Part):
    """One way in from the gateway."""

    port: DnsLabel = Field(description="Name of one of the service's ports.")
    host: Host = Field(description="Host under which the gateway offers it.")


class Call(Part):
    """One edge of the graph: this service may reach that target."""

    to: str = Field(
        description="A service of this environment, an attachment of it, or `shared/<name>` for a SharedService.",
        min_length=1,
        max_length=140,
    )
    port: DnsLabel | None = Field(
        default=None, description="Name of the target service's port. May be left out where the target has one port."
    )
    paths: tuple[PathPattern, ...] = Field(
        default=(),
        description="Only these request paths, exact or ending in `*`. Needs a mesh; not enforced yet.",
    )
    methods: tuple[Method, ...] = Field(
        default=(), description="Only these request methods. Needs a mesh; not enforced yet."
    )

    @property
    def shared(self) -> str | None:
        """Name of the SharedService that is called, or None for a target in the environment."""
        return self.to.removeprefix(SHARED_PREFIX) if self.to.startswith(SHARED_PREFIX) else None


class Service(Part):
    """A set of pods that carries these labels and runs as this service account."""

    labels: Labels | None = Field(
        default=None, description=f"Labels of its pods. Unset: `{NAME_LABEL}: <name of the service>`."
    )
    service_account: Subdomain | None = Field(
        default=None, description="Service account of its pods. Unset: `default`."
    )
    ports: Mapping[DnsLabel, Port] = Field(
        default_factory=dict, description="Named pod ports that others may be let in to."
    )
    expose: tuple[Exposure, ...] = Field(default=(), description="Ways in from the gateway.")
    calls: tuple[Call, ...] = Field(default=(), description="What it may reach.")
    api_server: bool = Field(
        default=False, description="Whether its pods may reach the API server and hold a token for it."
    )

    @property
    def account(self) -> str:
        """The service account with the default filled in."""
        return self.service_account or "default"

    def selector_labels(self, name: str) -> Mapping[str, str]:
        """The labels with the default filled in; `name` is the service's key in its environment."""
        return self.labels if self.labels is not None else {NAME_LABEL: name}


class Workload(Part):
    """Pods of the environment's own namespace that are no service of the model."""

    labels: Labels
    service_account: Subdomain = Field(default="default", description="Service account of these pods.")


class LocalAttachment(Part):
    """A workload in the environment's own namespace."""

    service: Workload = Field(description="The pods.")
    port: Port


class WorkloadAttachment(Part):
    """A workload in another namespace, which the model does not govern."""

    namespace: DnsLabel = Field(description="Namespace of the pods.")
    labels: Labels
    service_account: Subdomain = Field(default="default", description="Service account of these pods.")
    port: Port


class CidrAttachment(Part):
    """An address outside the cluster."""

    cidr: Cidr = Field(description="The network: at most /24 wide (IPv6: /64), outside the cluster's ranges.")
    port: Port


def _attachment_form(value: Any) -> str | None:
    keys = set(value) if isinstance(value, dict) else set()
    for key in ("cidr", "namespace", "service"):
        if key in keys:
            return f"<{key}>"
    return None


Attachment: TypeAlias = Annotated[
    Annotated[LocalAttachment, Tag("<service>")]
    | Annotated[WorkloadAttachment, Tag("<namespace>")]
    | Annotated[CidrAttachment, Tag("<cidr>")],
    Discriminator(
        _attachment_form,
        custom_error_type="attachment_form",
        custom_error_message="an attachment names its target by `service`, by `namespace` with `labels`, or by `cidr`",
    ),
]


class EnvironmentSpec(Part):
    """One tenant's namespace and what happens in it."""

    tenant: DnsLabel = Field(description="Whose environment this is.")
    plan: DnsLabel = Field(description="Name of the Plan that holds here.")
    namespace: EnvironmentNamespace = Field(
        default_factory=EnvironmentNamespace, description="The namespace behind the environment."
    )
    services: Mapping[DnsLabel, Service] = Field(default_factory=dict, description="The services by name.")
    attachments: Mapping[DnsLabel, Attachment] = Field(
        default_factory=dict, description="What these services may reach besides one another, and nobody else's may."
    )
    remediation: Remediation = Field(default_factory=Remediation, description="Mode for this environment.")


class Environment(Document):
    """One tenant's namespace: its services, their calls, attachments and exposure."""

    kind: Literal["Environment"]
    spec: EnvironmentSpec = Field(description="The environment itself.")

    @property
    def tenant(self) -> str:
        return self.spec.tenant

    @property
    def namespace(self) -> str:
        """Name of the namespace with the default filled in."""
        return self.spec.namespace.name or self.metadata.name

    @property
    def services(self) -> Mapping[str, Service]:
        return self.spec.services

    @property
    def attachments(self) -> Mapping[str, LocalAttachment | WorkloadAttachment | CidrAttachment]:
        return self.spec.attachments

    def selector_labels(self, service: str) -> Mapping[str, str]:
        """Labels of a service's pods with the default filled in. KeyError for a service that is not there."""
        return self.services[service].selector_labels(service)

    def account(self, service: str) -> str:
        """Service account of a service's pods with the default filled in. KeyError for a service that is not there."""
        return self.services[service].account

    def called_port(self, call: Call) -> tuple[str, PortSpec]:
        """Name and port of a call to a service of this environment.

        KeyError when the service or the port does not exist, or no port is named where there are several: the linter
        reports all three, so a model that passed it never raises here.
        """
        ports = self.services[call.to].ports
        if call.port is not None:
            return call.port, ports[call.port]
        if len(ports) != 1:
            raise KeyError(call.to)
        return next(iter(ports.items()))
