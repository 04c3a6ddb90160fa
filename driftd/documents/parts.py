"""What all documents share: strict camel-case parts, and the version that heads each of them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from driftd.values import ObjectRef


class Part(BaseModel):
    """A piece of a document: frozen, without room for a field that its schema does not tell."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Document(Part):
    """A whole document; each has a `kind` of its own."""

    api_version: Literal["driftd.dev/v1alpha1"] = Field("driftd.dev/v1alpha1", description="Version of this format.")


class ObjectName(Part):
    """Identity of a Kubernetes object."""

    group: str = Field(description="API group; empty for the core group.")
    kind: str
    namespace: str = Field(description="Empty for an object without a namespace.")
    name: str


def object_name(ref: ObjectRef) -> ObjectName:
    """The same of an object that is known."""
    return ObjectName(group=ref.group, kind=ref.kind, namespace=ref.namespace, name=ref.name)


class GapEntry(Part):
    """Something that could not be told."""

    where: str
    why: str
