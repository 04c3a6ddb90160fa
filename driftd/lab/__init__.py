"""A real cluster on this machine, for `driftd lab`, `driftd demo` and the tests. Nothing else knows that it exists."""

from driftd.lab.control_plane import Lab
from driftd.lab.errors import (
    AdminRequestError,
    BuildFailedError,
    LabError,
    LabNotFoundError,
    PartFailedError,
    ProgramsUnavailableError,
    SupervisorGoneError,
)
from driftd.lab.options import Deadlines, LabOptions
from driftd.lab.parts import Part
from driftd.lab.programs import Programs, ensure_programs, ready_programs

__all__ = [
    "AdminRequestError",
    "BuildFailedError",
    "Deadlines",
    "Lab",
    "LabError",
    "LabNotFoundError",
    "LabOptions",
    "Part",
    "PartFailedError",
    "Programs",
    "ProgramsUnavailableError",
    "SupervisorGoneError",
    "ensure_programs",
    "ready_programs",
]
