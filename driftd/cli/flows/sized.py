"""The matrix of a world, in a size that its dialect allows."""

from dataclasses import replace
from typing import Final

from driftd.cli.worlds.world import World
from driftd.policy.reach import ALL, PORTED, Grouping, Matrix, matrix

_GROUPS: Final = 500
"""Where a dialect leaves undefined protocols open between any two pods, the matrix has a cell for every pair."""


PORTED_ONLY: Final = (
    f"of more than {_GROUPS} workloads only TCP, UDP and SCTP are told: the dialect leaves the rest open between any "
    "two of them (--all-protocols tells that too)"
)


def in_size(world: World, *, undefined: bool) -> World:
    """The world, with a remark where its matrix has to leave something out."""
    if undefined or not is_large(world):
        return world
    return replace(world, remarks=(*world.remarks, PORTED_ONLY))


def matrix_in_size(world: World, by: Grouping, *, undefined: bool, large: bool | None = None) -> Matrix:
    """The matrix; of many groups only TCP, UDP and SCTP, unless `undefined` asks for the rest as well."""
    many = is_large(world) if large is None else large
    return matrix(world.snapshot, by, world.tenancy, PORTED if many and not undefined else ALL)


def is_large(world: World) -> bool:
    """Whether a cell for every pair of workloads would be too many."""
    groups = {(name, pod.workload) for name, view in world.snapshot.namespaces.items() for pod in view.pods.values()}
    return world.dialect.reading.undefined_protocols and len(groups) > _GROUPS
