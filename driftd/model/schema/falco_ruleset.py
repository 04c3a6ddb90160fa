"""Kind FalcoRuleset: rule files and settings that must be loaded, for the platform or for one tenant."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, JsonValue

from driftd.model.schema.names import DnsLabel, FilePath
from driftd.model.schema.parts import Document, Part


class FalcoException(Part):
    """A hole in one rule, exact by value."""

    rule: str = Field(min_length=1, max_length=256, description="Name of the rule.")
    name: str = Field(min_length=1, max_length=128, description="Name of the exception.")
    fields: tuple[str, ...] = Field(min_length=1, description="Fields that are compared.")
    comps: tuple[str, ...] = Field(min_length=1, description="Comparison of each field, such as `=` or `in`.")
    values: tuple[tuple[JsonValue, ...], ...] = Field(min_length=1, description="Rows of values, one value a field.")


class FalcoRulesetSpec(Part):
    """What Falco must load."""

    files: tuple[FilePath, ...] = Field(
        min_length=1, description="Rule files below the model root, in load order. They are Falco's own format."
    )
    settings: Mapping[str, JsonValue] = Field(
        default_factory=dict,
        description="Settings of falco.yaml that the rules rely on, such as `rule_matching: first`.",
    )
    tenant: DnsLabel | None = Field(
        default=None, description="The tenant whose rules these are. Unset: the platform's."
    )
    exceptions: tuple[FalcoException, ...] = Field(default=(), description="Holes in rules.")


class FalcoRuleset(Document):
    """Rule files and settings that Falco must have loaded."""

    kind: Literal["FalcoRuleset"]
    spec: FalcoRulesetSpec = Field(description="What Falco must load. Not compared with what it has loaded yet.")
