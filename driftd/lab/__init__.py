"""A real cluster on this machine, for `driftd lab`, `driftd demo` and the tests. Nothing else knows that it exists."""

from driftd.lab.audit import AuditedObject, AuditLog, AuditRecord
from driftd.lab.control_plane import Lab
from driftd.lab.doctor import Check, examine
from driftd.lab.errors import (
    AdminRequestError,
    BuildFailedError,
    LabError,
    LabNameError,
    LabNotFoundError,
    NodesUnavailableError,
    PartFailedError,
    ProgramsUnavailableError,
    SupervisorGoneError,
)
from driftd.lab.known import DEFAULT_NAME, KnownLabs, LabDocument, LabState, state_folder
from driftd.lab.nodes import (
    SANDBOX_IMAGE,
    Execution,
    Node,
    Pods,
    ensure_node_programs,
    install_packages,
    lacks,
    machine_lacks,
    ready_node_programs,
    refuse_without,
)
from driftd.lab.options import Deadlines, LabOptions
from driftd.lab.parts import Part
from driftd.lab.programs import Programs, ensure_programs, ready_programs

__all__ = [
    "DEFAULT_NAME",
    "SANDBOX_IMAGE",
    "AdminRequestError",
    "AuditLog",
    "AuditRecord",
    "AuditedObject",
    "BuildFailedError",
    "Check",
    "Deadlines",
    "Execution",
    "KnownLabs",
    "Lab",
    "LabDocument",
    "LabError",
    "LabNameError",
    "LabNotFoundError",
    "LabOptions",
    "LabState",
    "Node",
    "NodesUnavailableError",
    "Part",
    "PartFailedError",
    "Pods",
    "Programs",
    "ProgramsUnavailableError",
    "SupervisorGoneError",
    "ensure_node_programs",
    "ensure_programs",
    "examine",
    "install_packages",
    "lacks",
    "machine_lacks",
    "ready_node_programs",
    "ready_programs",
    "refuse_without",
    "state_folder",
]
