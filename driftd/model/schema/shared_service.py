"""Kind SharedService: a platform service that many tenants use, each in its own corner."""

from typing import Literal

from pydantic import Field

from driftd.model.schema.names import DnsLabel, HeaderName, Method, PathTemplate, Subdomain
from driftd.model.schema.parts import Document, Labels, Part, Port


class Callers(Part):
    """Who may call. This only permits: an edge exists where a service `calls` it."""

    tenants: Literal["all"] | tuple[DnsLabel, ...] = Field(
        default=(), description="`all`, or the names of the tenants. Unset: nobody."
    )

    def permit(self, tenant: str) -> bool:
        return self.tenants == "all" or tenant in self.tenants


class SharedServiceSpec(Part):
    """Where the service runs and what callers may ask of it."""

    namespace: DnsLabel = Field(description="Namespace of its pods.")
    labels: Labels
    service_account: Subdomain = Field(default="default", description="Service account of its pods.")
    port: Port
    callers: Callers = Field(default_factory=Callers, description="Who may call.")
    paths: tuple[PathTemplate, ...] = Field(
        default=(),
        description="Request paths open to callers; `{tenant}` stands for the caller's tenant. Needs a mesh; not "
        "enforced yet.",
    )
    methods: tuple[Method, ...] = Field(
        default=(), description="Request methods open to callers. Needs a mesh; not enforced yet."
    )
    tenant_header: HeaderName | None = Field(
        default=None,
        description="Header in which callers name their tenant; checked against their identity. Needs a mesh; not "
        "enforced yet.",
    )
    policies: Literal["print", "write"] = Field(
        default="print",
        description="`write`: the policies that guard its pods there are driftd's; `print`: they are only shown.",
    )


class SharedService(Document):
    """A platform service that many tenants use."""

    kind: Literal["SharedService"]
    spec: SharedServiceSpec = Field(description="Where it runs and who may call.")

    def permits(self, tenant: str) -> bool:
        """Whether services of this tenant may call it."""
        return self.spec.callers.permit(tenant)
