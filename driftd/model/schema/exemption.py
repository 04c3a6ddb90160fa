"""Kind Exemption: one object that may differ from the model until a date, on somebody's word."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from driftd.model.kinds import group_of
from driftd.model.schema.names import DnsLabel, GroupName, KindName, Subdomain
from driftd.model.schema.parts import Document, Part
from driftd.values import ObjectRef


class ExemptObject(Part):
    """Exactly one object. There are no patterns: a pattern is a hole that grows."""

    kind: KindName = Field(description="Kind of the object.")
    group: GroupName | None = Field(
        default=None,
        description='API group. Unset: the group in which driftd governs the kind, or has findings of it (`""`: core).',
    )
    namespace: DnsLabel | None = Field(default=None, description="Its namespace; unset for an object without one.")
    name: Subdomain = Field(description="Its name.")


class ExemptionSpec(Part):
    """The object, and who answers for it until when."""

    object: ExemptObject = Field(description="The object that is left alone.")
    until: dt.date = Field(description="Last day on which the exemption holds, as 2026-12-01.")
    owner: Annotated[str, Field(min_length=1, max_length=128)] = Field(description="Who answers for it.")
    reason: Annotated[str, Field(min_length=1, max_length=500)] = Field(description="Why, best with a ticket's number.")


class Exemption(Document):
    """A hole on purpose: one exact object, an owner, a reason, an end."""

    kind: Literal["Exemption"]
    spec: ExemptionSpec = Field(description="The object, and who answers for it until when.")

    @property
    def ref(self) -> ObjectRef:
        """Identity of the exempt object. An unknown kind without a stated group is taken for the core group."""
        subject = self.spec.object
        group = subject.group if subject.group is not None else group_of(subject.kind) or ""
        return ObjectRef(group, subject.kind, subject.namespace or "", subject.name)
