"""What can go wrong with a lab; every message says what to do next."""

from pathlib import Path


class LabError(Exception):
    """The lab could not be had, or could not do what was asked."""


class ProgramsUnavailableError(LabError):
    """No usable etcd, kube-apiserver and kube-controller-manager, and no way to build them."""


class NodesUnavailableError(LabError):
    """This machine cannot have nodes: the message names what it lacks and what to do."""


class BuildFailedError(ProgramsUnavailableError):
    """The Go build ended without a program; carries the tail of what it said."""


class PartFailedError(LabError):
    """A part ended, or was not ready before its deadline; carries the tail of its log."""

    def __init__(self, part: str, what: str, log: Path, tail: str) -> None:
        said = f"The end of its log:\n{tail}" if tail else "It logged nothing."
        super().__init__(f"{part} {what}. {said}\nThe whole log, unless the lab's data was temporary: {log}")
        self.part = part
        self.tail = tail

    @property
    def port_was_taken(self) -> bool:
        """Whether another program had the port first: the one failure that is worth another try with other ports."""
        return "address already in use" in self.tail


class SupervisorGoneError(LabError):
    """The process that owns the lab's parts does not answer: the lab is down."""


class AdminRequestError(LabError):
    """The lab's own API server or etcd refused a request of the lab."""


class LabNameError(LabError):
    """A lab cannot be called that."""


class LabNotFoundError(LabError):
    """No lab of that name is known on this machine."""
