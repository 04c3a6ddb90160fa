"""A world from ordinary Kubernetes YAML or JSON, whoever wrote it; what cannot be read is named."""

from collections.abc import Iterable
from pathlib import Path

from driftd.cli.object_files import FileObject, FilePart, NoObject, Unreadable, objects_in, objects_of
from driftd.cli.worlds.bodies import Bodies
from driftd.cli.worlds.world import Unread, World
from driftd.model import SourceFile
from driftd.policy.reach import Dialect, Surroundings, Tenancy, snapshot_of


def world_of_paths(paths: Iterable[Path], dialect: Dialect, surroundings: Surroundings | None = None) -> World:
    """The world of files and directories; `-` is stdin. `surroundings` place pods without addresses."""
    given = tuple(paths)
    bodies = Bodies(dialect, surroundings or Surroundings())
    for part in objects_in(given):
        _take(bodies, part)
    return world_of_bodies(bodies, "manifests " + " ".join(map(str, given)))


def world_of_directory(directory: Path, dialect: Dialect, source: str) -> World:
    """The world of a directory, whose files are named from there."""
    bodies = Bodies(dialect)
    for part in objects_in((directory,), root=directory):
        _take(bodies, part)
    return world_of_bodies(bodies, source)


def world_of_files(files: Iterable[SourceFile], dialect: Dialect, source: str) -> World:
    """The world of files that are at hand, such as those of a git revision."""
    bodies = Bodies(dialect)
    for file in files:
        for part in objects_of(file.path, file.data):
            _take(bodies, part)
    return world_of_bodies(bodies, source)


def world_of_bodies(bodies: Bodies, source: str) -> World:
    """What was gathered, as a world. A namespace belongs to the tenant on its label, else it is a party of its own."""
    tenants = {name: bodies.tenants.get(name) or name for name in bodies.namespaces()}
    passed = bodies.passed_over()
    return World(
        source=source,
        snapshot=snapshot_of(bodies.objects(), bodies.dialect, bodies.surroundings),
        tenancy=Tenancy(tenants),
        unread=tuple(bodies.unread),
        remarks=(*bodies.remarks, *((passed,) if passed else ())),
        faces=bodies.faces,
        places=bodies.places,
        owned=any(bodies.tenants.values()),
    )


def _take(bodies: Bodies, part: FilePart) -> None:
    match part:
        case Unreadable(where, why, content):
            bodies.unread.append(Unread(where, why, content))
        case NoObject(where, why):
            bodies.remarks.append(f"{where}: {why}; left out")
        case FileObject(where, kind="Kustomization", api_version=version) if version.startswith("kustomize."):
            bodies.remarks.append(f"{where}: a kustomization; what it would change is not seen (kustomize build first)")
        case FileObject(where, body, content=content):
            bodies.take(body, where, content)
