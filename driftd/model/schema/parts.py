"""The parts that several kinds of document share: the base class, labels, ports, remediation, the document's head."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from driftd.model.schema.names import (
    AppProtocol,
    DnsLabel,
    LabelKey,
    LabelValue,
    PortNumber,
    Protocol,
    RemediationMode,
)

API_VERSION = "driftd.dev/v1alpha1"


class Part(BaseModel):
    """A piece of a document: frozen, strictly typed, without room for a field that nobody reads."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, validate_default=False
    )


Labels = Annotated[
    Mapping[LabelKey, LabelValue],
    Field(min_length=1, description="Labels a pod must carry, all of them, with exactly these values."),
]


class PortSpec(Part):
    """A pod port (never a Service's port: policies see packets after the Service has been resolved)."""

    number: PortNumber = Field(description="Port number on the pod.")
    protocol: Protocol = Field(default="TCP", description="Transport protocol.")
    app: AppProtocol = Field(
        default="tcp",
        description="What speaks on it. `paths` and `methods` need `http` or `grpc`.",
    )


def _port(value: object) -> object:
    return {"number": value} if isinstance(value, int) and not isinstance(value, bool) else value


Port = Annotated[
    PortSpec,
    BeforeValidator(_port, json_schema_input_type=PortNumber | PortSpec),
    Field(description="A pod port: its number, or `{number, protocol, app}`."),
]


class Remediation(Part):
    """Whether drift is only reported or also repaired. Wherever two places speak, `report` wins."""

    mode: RemediationMode | None = Field(
        default=None,
        description="`report` only tells; `enforce` repairs. Unset: says nothing. `report` anywhere beats `enforce`.",
    )


class Metadata(Part):
    """The document's name."""

    name: DnsLabel = Field(description="Name of the document, unique among the documents of its kind.")


class Document(Part):
    """The head that every document of the model carries."""

    api_version: Literal["driftd.dev/v1alpha1"] = Field(alias="apiVersion", description="Version of this language.")
    metadata: Metadata = Field(description="Who this document is.")

    @property
    def name(self) -> str:
        return self.metadata.name
