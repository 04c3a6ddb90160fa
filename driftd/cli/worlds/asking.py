"""Which world a command line means: a live cluster, a pile of manifests, or the model."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from driftd.cli import show
from driftd.cli.exits import Exit
from driftd.cli.failures import CommandError
from driftd.cli.sources import ValidModel
from driftd.cli.worlds.manifests import world_of_paths
from driftd.cli.worlds.modelled import directory_model, services_of, surroundings_of, tenancy_of, world_of_model
from driftd.cli.worlds.world import World
from driftd.policy.reach import Dialect, Tenancy

_NOTES: Final = 20
"""Remarks of one sort that are told; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for. Beside live state a model lends its dialect, its tenants and the names of its services."""

    models: Path | None
    manifests: tuple[Path, ...]
    cluster: bool
    kubeconfig: Path | None
    context: str | None
    dialect: Dialect | None

    @property
    def live(self) -> bool:
        """Whether it is live state that is asked, and not the model."""
        return bool(self.manifests) or self.cluster


def wanted(
    *,
    models: Path | None,
    manifests: Sequence[Path] | None,
    kubeconfig: Path | None,
    context: str | None,
    dialect: str | None,
    only_models: bool = False,
    in_pod: bool = False,
) -> Wanted:
    """Which world is meant: files, else a cluster that is named, else the cluster of this pod, else the model.

    Args:
        models: the model that is asked, or lent to live state.
        manifests: files of live state.
        kubeconfig: of a cluster.
        context: of that kubeconfig, or of the user's own.
        dialect: whose reading; None takes the model's.
        only_models: the command line names a model and no live state: what the environment says counts for nothing.
        in_pod: this process runs in a pod of a cluster.

    Raises:
        CommandError: a source that is not there, or none at all (exit code 2).
    """
    for path in manifests or ():
        if str(path) != "-" and not path.exists():
            raise CommandError(f"--manifests {path}: there is no such file or directory", Exit.USAGE)
    cluster = not manifests and not only_models and (kubeconfig is not None or context is not None or in_pod)
    if not manifests and not cluster and models is None:
        default = Path("models")
        if not default.is_dir():
            message = "what is asked? Give --kubeconfig FILE for a cluster, --manifests DIR, or --models DIR"
            raise CommandError(message, Exit.USAGE)
        models = default
    reading = Dialect(dialect) if dialect else None
    return Wanted(models, tuple(manifests or ()), cluster, kubeconfig, context, reading)


def runs_in_a_pod() -> bool:
    """Whether this process runs in a pod whose account may log in to its cluster."""
    if "KUBERNETES_SERVICE_HOST" not in os.environ:
        return False  # without the import, which takes longer than most questions
    from driftd.cluster import in_a_pod

    return in_a_pod()


def world_of(asked: Wanted) -> World:
    """Read the world. Raises CommandError when there is none to be had."""
    valid = None if asked.models is None else directory_model(asked.models)
    dialect = asked.dialect or (Dialect(valid.compiled.dialect) if valid else Dialect.KUBERNETES)
    ranges = surroundings_of(valid.model) if valid else None
    if asked.manifests:
        with show.progress("reading manifests"):
            return lent(world_of_paths(asked.manifests, dialect, ranges), valid)
    if asked.cluster or valid is None:
        from driftd.cli.worlds.live import live_world
        from driftd.cluster import default_credentials

        credentials = default_credentials(str(asked.kubeconfig) if asked.kubeconfig else None, asked.context)
        with show.progress("connecting") as say:
            return lent(live_world(credentials, dialect, say, ranges), valid)
    return world_of_model(valid, dialect)


def lent(world: World, valid: ValidModel | None) -> World:
    """A live world with what the model knows of it: whose namespaces are, and what its services are called."""
    if valid is None:
        return world
    known = tenancy_of(valid.model).tenants
    return replace(
        world, tenancy=Tenancy({**world.tenancy.tenants, **known}), services=services_of(valid.model), owned=True
    )


def tell(world: World, command: str) -> None:
    """On stderr: who was asked, what could not be read, what widened answers, and remarks."""
    show.note(show.printable(f"source: {world.source}; dialect {world.dialect}"))
    groups = (
        [f"driftd {command}: could not read {one}" for one in world.unread],
        [f"driftd {command}: {one}" for one in world.snapshot.notes()],
        list(world.remarks),
    )
    for told in groups:
        for line in told[:_NOTES]:
            show.note(show.printable(line))
        if len(told) > _NOTES:
            show.note(f"and {len(told) - _NOTES} more")
