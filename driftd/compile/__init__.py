"""The compiler: a model into the exact objects that the cluster must hold."""

from driftd.compile.compiled import Compiled, Exempt, GovernedNamespace, Mode
from driftd.compile.compiler import compile_model
from driftd.compile.edges import (
    Edge,
    Elsewhere,
    InNamespace,
    InService,
    Outside,
    Shared,
    Target,
    Way,
    edges_of,
    ways_of,
)
from driftd.compile.faults import CompileError
from driftd.compile.internet import public_internet
from driftd.compile.workloads import Workload

__all__ = [
    "CompileError",
    "Compiled",
    "Edge",
    "Elsewhere",
    "Exempt",
    "GovernedNamespace",
    "InNamespace",
    "InService",
    "Mode",
    "Outside",
    "Shared",
    "Target",
    "Way",
    "Workload",
    "compile_model",
    "edges_of",
    "public_internet",
    "ways_of",
]
