"""Two revisions to compare: directories, or `REV:path` of a git repository; models or anybody's manifests."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from dulwich.errors import NotGitRepository
from dulwich.object_store import BaseObjectStore, iter_tree_contents, tree_lookup_path
from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.objectspec import parse_commit
from dulwich.repo import Repo

from driftd.cli.exits import Exit
from driftd.cli.failures import CommandError
from driftd.cli.object_files import SUFFIXES, files_below
from driftd.cli.sources import ValidModel, read_revision
from driftd.cli.worlds.manifests import world_of_directory, world_of_files
from driftd.cli.worlds.modelled import files_model, world_of_model
from driftd.cli.worlds.world import World
from driftd.model import SourceFile
from driftd.policy.reach import Dialect
from driftd.source import content_name

_CLUSTER: Final = re.compile(rb"""^kind:\s*["']?Cluster["']?\s*(?:#.*)?$""", re.MULTILINE)
_OURS: Final = re.compile(rb"""^apiVersion:\s*["']?driftd\.dev/""", re.MULTILINE)
_FILE_LIMIT: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Files:
    """Files at one moment. `path` is None for those of a git revision."""

    name: str
    files: tuple[SourceFile, ...]
    path: Path | None

    @property
    def is_model(self) -> bool:
        """Whether a model's Cluster document is among them."""
        return any(_OURS.search(file.data) and _CLUSTER.search(file.data) for file in self.files)


def tree_of(text: str) -> Files:
    """The files that an argument names. Raises CommandError when there are none to be had."""
    path = Path(text)
    if path.is_dir():
        return Files(text, _directory(path), path)
    if path.exists():
        raise CommandError(f"{text}: a revision is a directory, or REV:path of a git repository", Exit.USAGE)
    rev, colon, inside = text.partition(":")
    if not colon or not rev:
        message = f"{text}: no such directory, and not REV:path of a git repository (such as HEAD:models) either"
        raise CommandError(message, Exit.USAGE)
    return Files(text, _committed(text, rev, inside), None)


def worlds_of(old: Files, new: Files, dialect: Dialect | None) -> tuple[World, World]:
    """Both worlds in one dialect: the one asked for, else the new model's. Raises CommandError."""
    models = [_model(tree) if tree.is_model else None for tree in (old, new)]
    speaking = next((one for one in reversed(models) if one is not None), None)
    reading = dialect or (Dialect(speaking.compiled.dialect) if speaking else Dialect.KUBERNETES)
    before, after = (
        world_of_model(model, reading) if model is not None else _manifests(tree, reading)
        for tree, model in zip((old, new), models, strict=True)
    )
    return before, after


def _manifests(tree: Files, dialect: Dialect) -> World:
    source = f"manifests {tree.name}"
    if tree.path is not None:
        return world_of_directory(tree.path, dialect, source)
    return world_of_files(tree.files, dialect, source)


def _model(tree: Files) -> ValidModel:
    if tree.path is not None:
        revision = read_revision(tree.path)
        return files_model(tree.name, revision.commit, revision.files)
    return files_model(tree.name, content_name(tree.files), tree.files)


def _directory(path: Path) -> tuple[SourceFile, ...]:
    """Files to tell a model from manifests by; what cannot be read here is named by whoever reads it in earnest."""
    found: list[SourceFile] = []
    for file in files_below(path):
        try:
            found.append(SourceFile(file.relative_to(path).as_posix(), file.read_bytes()))
        except OSError:
            continue
    return tuple(found)


def _committed(text: str, rev: str, inside: str) -> tuple[SourceFile, ...]:
    """The files below a path of a commit; the repository is the one around the working directory."""
    try:
        repository = Repo.discover(".")
    except NotGitRepository:
        message = f"{text}: no such directory, and there is no git repository here to find a revision in"
        raise CommandError(message, Exit.USAGE) from None
    with repository:
        try:
            commit = _commit(repository, rev)
        except (KeyError, IndexError, ValueError):
            raise CommandError(f"{text}: the git repository has no revision {rev!r}", Exit.USAGE) from None
        store = repository.object_store
        path = PurePosixPath(inside.strip("/")) if inside.strip("/") else PurePosixPath()
        if path.parts:
            try:
                _, entry = tree_lookup_path(store.__getitem__, commit.tree, path.as_posix().encode())
            except (KeyError, NotADirectoryError):
                raise CommandError(f"{text}: revision {rev} has no directory {inside!r}", Exit.USAGE) from None
        else:
            entry = commit.tree
        if not isinstance(store[entry], Tree):
            raise CommandError(f"{text}: {inside} is a file in revision {rev}; name a directory", Exit.USAGE)
        return tuple(_blobs(text, store, entry))


def _commit(repository: Repo, rev: str) -> Commit:
    """A revision as git writes it, ancestors (`~2`, `^`) included. Raises KeyError or IndexError."""
    base = re.split(r"[~^]", rev, maxsplit=1)[0]
    commit = parse_commit(repository, base.encode())
    for sign, number in re.findall(r"([~^])(\d*)", rev[len(base) :]):
        steps, parent = (int(number or 1), 0) if sign == "~" else (1, int(number or 1) - 1)
        for _ in range(steps):
            ancestor = repository[commit.parents[parent]]
            if not isinstance(ancestor, Commit):
                raise KeyError(rev)
            commit = ancestor
    return commit


def _blobs(text: str, store: BaseObjectStore, tree: ObjectID) -> list[SourceFile]:
    found: list[SourceFile] = []
    for entry in iter_tree_contents(store, tree):
        name = entry.path.decode("utf-8", "surrogateescape")
        if not name.endswith(SUFFIXES) or any(part.startswith(".") for part in name.split("/")):
            continue
        blob = store[entry.sha]
        if not isinstance(blob, Blob):
            continue
        if len(blob.data) > _FILE_LIMIT:
            raise CommandError(f"{text}: {name} is larger than {_FILE_LIMIT} bytes", Exit.UNKNOWN)
        found.append(SourceFile(name, blob.data))
    return found
