"""The matrix of a world, in a size that its dialect allows."""

from typing import Final

from driftd.cli.worlds.world import World
from driftd.policy.reach import ALL, PORTED, Grouping, Matrix, matrix

_GROUPS: Final = 500
"""Where a dialect leaves undefined protocols open between any two pods, the matrix has a cell for every pair."""


def matrix_in_size(world: World, by: Grouping, *, undefined: bool, large: bool | None = None) -> Matrix:
    """The matrix; of many groups only TCP, UDP and SCTP, unless `undefined` asks for the rest as well."""
    many = is_large(world) if large is None else large
    return matrix(world.snapshot, by, world.tenancy, PORTED if many and not undefined else ALL)


def is_large(world: World) -> bool:
    """Whether a cell for every pair of workloads would be too many."""
    groups = {(name, pod.workload) for name, view in world.snapshot.namespaces.items() for pod in view.pods.values()}
    return world.dialect.reading.undefined_protocols and len(groups) > _GROUPS
