"""Kind Plan: what a tenant has bought, said once for all its environments."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from driftd.model.schema.names import LabelKey, Quantity
from driftd.model.schema.parts import Document, Part, Remediation

Quantities = Annotated[Mapping[LabelKey, Quantity], Field(description="Resource name to quantity.")]


class Egress(Part):
    """What every pod of the environment may reach besides what the graph says."""

    dns: bool = Field(default=True, description="Names may be resolved.")
    https: Literal["public", "none"] = Field(
        default="none",
        description="`public` opens TCP 443 to the internet, never to private or cluster ranges; `none` opens nothing.",
    )


class ContainerLimits(Part):
    """A LimitRange for containers."""

    default: Quantities | None = Field(default=None, description="Limits of a container that names none.")
    default_request: Quantities | None = Field(default=None, description="Requests of a container that names none.")
    max: Quantities | None = Field(default=None, description="Highest limits allowed.")
    min: Quantities | None = Field(default=None, description="Lowest requests allowed.")


class PlanSpec(Part):
    """What an environment of this plan gets."""

    egress: Egress = Field(default_factory=Egress, description="What pods may reach outside.")
    pod_security: Literal["restricted", "baseline", "privileged"] = Field(
        default="restricted", description="Pod Security level that the namespace enforces."
    )
    quota: Quantities | None = Field(
        default=None, description="Hard limits of the ResourceQuota. Unset: there is none."
    )
    limits: ContainerLimits | None = Field(default=None, description="The LimitRange. Unset: there is none.")
    tenant_policies: Literal["never", "inertOrTightening", "withinEnvironment"] = Field(
        default="never",
        description="Policies that tenants write themselves, judged by what they do: none stands, those that open "
        "nothing stand, or also those that open flows between pods of the environment only. "
        "What cannot be judged goes.",
    )
    remediation: Remediation = Field(default_factory=Remediation, description="Mode for environments of this plan.")


class Plan(Document):
    """What a tenant has bought: egress, Pod Security, quota, limits."""

    kind: Literal["Plan"]
    spec: PlanSpec = Field(default_factory=PlanSpec, description="What an environment of this plan gets.")
