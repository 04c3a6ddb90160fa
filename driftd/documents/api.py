"""What the API takes and answers: one class a document, each with a schema (`driftd schema`)."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from driftd.documents.findings import LifeEntry
from driftd.documents.parts import Document, Part

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="A namespace.")]
Reason = Annotated[str, Field(max_length=500, description="Why, in the words of who does it; it is audited.")]


class _Request(Document):
    """What somebody wants; nothing beside the named fields is taken."""

    model_config = ConfigDict(strict=True)


class ApprovalRequest(_Request):
    """Let one held revision of the model pass."""

    kind: Literal["ApprovalRequest"] = "ApprovalRequest"
    commit: str = Field(min_length=7, max_length=128, description="Its name, or the beginning of it.")
    reason: Reason = ""


class Approval(Document):
    """A revision that was let pass; it is considered again at once, and may be held for another reason."""

    kind: Literal["Approval"] = "Approval"
    commit: str
    by: str


class RetirementRequest(_Request):
    """Stop governing a namespace whose environment is gone from the model."""

    kind: Literal["RetirementRequest"] = "RetirementRequest"
    namespace: Name
    reason: Reason = ""


class Retirement(Document):
    """A namespace that driftd governs no longer. Its objects stay in the cluster as they are."""

    kind: Literal["Retirement"] = "Retirement"
    namespace: str
    tenant: str
    by: str
    left: dict[str, int] = Field(description="Objects that it was held at and that stay, by kind.")


class PauseRequest(_Request):
    """Tell drift in a namespace, and repair none, for a while."""

    kind: Literal["PauseRequest"] = "PauseRequest"
    namespace: Name
    seconds: int = Field(gt=0, description="How long; four hours at most.")
    reason: Annotated[Reason, Field(min_length=1)]


class PauseEntry(Part):
    """One pause that holds."""

    namespace: str
    begun: str
    until: str
    by: str
    reason: str


class PauseList(Document):
    """The pauses that hold now."""

    kind: Literal["PauseList"] = "PauseList"
    pauses: tuple[PauseEntry, ...]


class ModelState(Document):
    """Which model is in force, and what stands in the way of a newer one."""

    kind: Literal["ModelState"] = "ModelState"
    commit: str = Field(description="In force; empty before the first.")
    newest: str = Field(description="The newest that was read.")
    held: str = Field(description="Why the newest is not in force; empty if it is.")
    approvable: bool = Field(description="Whether `driftd approve` lets it pass.")
    quarantined: tuple[str, ...] = Field(description="Tenants that stay at their last good version.")
    orphaned: tuple[str, ...] = Field(description="Namespaces gone from the model, held until `driftd retire`.")
    paused: tuple[str, ...] = Field(description="Namespaces where nothing is repaired just now.")


class FindingList(Document):
    """Lives of findings, newest first."""

    kind: Literal["FindingList"] = "FindingList"
    lives: tuple[LifeEntry, ...]
    more: bool = Field(description="Older ones matched as well.")


class PageList(Document):
    """Pages, newest first, with the events that destinations were sent."""

    kind: Literal["PageList"] = "PageList"
    pages: tuple[dict[str, Any], ...] = Field(
        description="key, life, class, urgency, state, summary, about, route, times, reasons, events, deliveries."
    )


class Problem(Document):
    """Why a request was not done."""

    kind: Literal["Problem"] = "Problem"
    status: int
    reason: str = Field(description="Name of the condition, such as NotAllowed.")
    message: str = Field(description="What, where, what was expected, what to do next.")


API_DOCUMENTS: dict[str, type[Document]] = {
    one.__name__: one
    for one in (
        ApprovalRequest,
        Approval,
        RetirementRequest,
        Retirement,
        PauseRequest,
        PauseList,
        ModelState,
        FindingList,
        PageList,
        Problem,
    )
}
"""Every document of the API by its kind."""
