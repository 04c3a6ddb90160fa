"""The canonical model: its language, the strict reader, the rules across documents. Pure: bytes in, values out."""

from driftd.model.lint import lint
from driftd.model.loader import Loaded, load
from driftd.model.model import Model, Place, tenant_label
from driftd.model.problems import Manifest, Problem, SourceFile
from driftd.model.quarantine import Admitted, admit
from driftd.model.reading import Parser
from driftd.model.reference import json_schema
from driftd.model.schema import (
    API_VERSION,
    Attachment,
    Call,
    CidrAttachment,
    Cluster,
    Environment,
    Exemption,
    Exposure,
    FalcoRuleset,
    LocalAttachment,
    Plan,
    PortSpec,
    Service,
    SharedService,
    WorkloadAttachment,
    network,
)

__all__ = [
    "API_VERSION",
    "Admitted",
    "Attachment",
    "Call",
    "CidrAttachment",
    "Cluster",
    "Environment",
    "Exemption",
    "Exposure",
    "FalcoRuleset",
    "Loaded",
    "LocalAttachment",
    "Manifest",
    "Model",
    "Parser",
    "Place",
    "Plan",
    "PortSpec",
    "Problem",
    "Service",
    "SharedService",
    "SourceFile",
    "WorkloadAttachment",
    "admit",
    "json_schema",
    "lint",
    "load",
    "network",
    "tenant_label",
]
