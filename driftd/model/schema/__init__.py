"""The language of the model as frozen pydantic classes: one module a kind of document."""

from collections.abc import Mapping
from typing import TypeAlias

from driftd.model.schema.cluster import Cluster
from driftd.model.schema.environment import (
    Attachment,
    Call,
    CidrAttachment,
    Environment,
    Exposure,
    LocalAttachment,
    Service,
    WorkloadAttachment,
)
from driftd.model.schema.exemption import Exemption
from driftd.model.schema.falco_ruleset import FalcoRuleset
from driftd.model.schema.names import network
from driftd.model.schema.parts import API_VERSION, PortSpec
from driftd.model.schema.plan import Plan
from driftd.model.schema.shared_service import SharedService

AnyDocument: TypeAlias = Cluster | Plan | Environment | SharedService | FalcoRuleset | Exemption

DOCUMENT_KINDS: Mapping[str, type[AnyDocument]] = {
    "Cluster": Cluster,
    "Plan": Plan,
    "Environment": Environment,
    "SharedService": SharedService,
    "FalcoRuleset": FalcoRuleset,
    "Exemption": Exemption,
}

__all__ = [
    "API_VERSION",
    "DOCUMENT_KINDS",
    "AnyDocument",
    "Attachment",
    "Call",
    "CidrAttachment",
    "Cluster",
    "Environment",
    "Exemption",
    "Exposure",
    "FalcoRuleset",
    "LocalAttachment",
    "Plan",
    "PortSpec",
    "Service",
    "SharedService",
    "WorkloadAttachment",
    "network",
]
