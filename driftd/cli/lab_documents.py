"""The JSON that `driftd lab` prints. Its keys are those of the lab's own description, so they stay in snake case."""

from typing import Literal

from pydantic import ConfigDict, Field

from driftd.documents import Document, Part


def _key(field: str) -> str:
    return "apiVersion" if field == "api_version" else field


class _LabPart(Part):
    model_config = ConfigDict(alias_generator=_key)


class _LabDocument(Document):
    model_config = ConfigDict(alias_generator=_key)


class _LabEntry(_LabPart):
    name: str
    kubeconfig: str = Field(description="The administrator's; empty for a lab whose start was cut short.")
    server: str = Field(description="Address of the API server.")
    audit_log: str = Field(description="File with every write that the API server answered.")
    data_dir: str
    pids: dict[str, int] = Field(description="Processes by part; `supervisor` ends all of them.")
    nodes: dict[str, str] = Field(description="Addresses of nodes by name.")


class Lab(_LabEntry, _LabDocument):
    """What `driftd lab up` prints: all that somebody needs to use the lab."""

    kind: Literal["Lab"] = "Lab"


class LabStateEntry(_LabEntry):
    """A lab as it is now."""

    state: Literal["running", "degraded", "dead"] = Field(
        description="`degraded`: some part does not run; `dead`: only its data is left."
    )
    parts: dict[str, str] = Field(description="State of each part by name.")


class LabList(_LabDocument):
    """What `driftd lab status` found."""

    kind: Literal["LabList"] = "LabList"
    labs: tuple[LabStateEntry, ...]


class LabEnding(_LabDocument):
    """What `driftd lab down` ended."""

    kind: Literal["LabEnding"] = "LabEnding"
    ended: tuple[str, ...] = Field(description="Names of labs.")


class LabPrograms(_LabDocument):
    """What `driftd lab build` made sure of."""

    kind: Literal["LabPrograms"] = "LabPrograms"
    version: str = Field(description="Of Kubernetes.")
    source: str = Field(description="Where the programs were found, in words.")


class LabPackages(_LabDocument):
    """What `driftd lab packages` did."""

    kind: Literal["LabPackages"] = "LabPackages"
    installed: tuple[str, ...] = Field(description="Debian packages that were lacking and are there now.")


class LabCheckEntry(_LabPart):
    """One capability of this machine."""

    capability: str
    present: bool
    seen: str
    costs: str = Field(description="What cannot be done without it, and what to do about it; empty where it is there.")


class LabExamination(_LabDocument):
    """What `driftd lab doctor` saw."""

    kind: Literal["LabExamination"] = "LabExamination"
    checks: tuple[LabCheckEntry, ...]


LAB_DOCUMENTS: dict[str, type[Document]] = {
    one.__name__: one for one in (Lab, LabList, LabEnding, LabPrograms, LabPackages, LabExamination)
}
"""Every document of the lab by its kind."""
