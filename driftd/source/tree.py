"""A directory tree read safely: inside itself, bounded, and whole.

Hidden names are skipped, which also makes a projected Kubernetes volume read right: its visible names are links
through `..data` into a hidden directory, and `..data` is swapped in one step when the volume changes.
"""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from driftd.model import SourceFile
from driftd.source.errors import LinkLeavesTree, SourceError, SourceTooLarge, SourceUnreadable
from driftd.source.revision import Limits

_SUFFIXES = (".yaml", ".yml")


class Stamp(NamedTuple):
    """What tells one state of a file from another without reading it. `ctime` cannot be set back by a program.

    A tuple, since one is made for every file several times a second.
    """

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Survey:
    """Every file of the model by its path below the root: where it really lies, and its stamp.

    `links` holds every link on the way, hidden ones and the root too, stamped before it was followed: when two surveys
    agree on them, no link was swapped in between, and what was read through them belongs together.
    """

    root: str
    files: dict[str, tuple[str, Stamp]]
    links: dict[str, Stamp]

    @property
    def newest_ns(self) -> int:
        """When the youngest file or link was last touched."""
        times = [stamp.ctime_ns for _, stamp in self.files.values()]
        return max(times + [stamp.ctime_ns for stamp in self.links.values()])


def survey(root: Path, limits: Limits) -> Survey:
    """Look at the whole tree without reading a file. Raises `SourceError`."""
    try:
        links = {"": _stamp(root.lstat())}
        real = os.path.realpath(root, strict=True)
        walk = _Walk(real, limits, links)
        walk.enter(real, "", 0, (real,))
    except OSError as error:
        raise SourceUnreadable(error.filename or root, error.strerror or type(error).__name__) from error
    return Survey(real, walk.files, walk.links)


def read(found: Survey, limits: Limits) -> tuple[SourceFile, ...]:
    """The bytes of everything `found`, by path. Raises `SourceError`; the caller surveys again and compares."""
    files = []
    total = 0
    for path in sorted(found.files):
        real, _ = found.files[path]
        data = _read_file(path, real, limits.file_bytes)
        total += len(data)
        if total > limits.total_bytes:
            raise SourceTooLarge("the model", f"more than {total} bytes", f"{limits.total_bytes} bytes")
        files.append(SourceFile(path, data))
    return tuple(files)


class _Walk:
    """One walk down the tree, links inside it followed."""

    def __init__(self, root: str, limits: Limits, links: dict[str, Stamp]) -> None:
        self.root = root
        self.limits = limits
        self.links = links
        self.directories = 0
        self.files: dict[str, tuple[str, Stamp]] = {}

    def enter(self, directory: str, below: str, depth: int, above: tuple[str, ...]) -> None:
        if depth > self.limits.depth:
            raise SourceTooLarge(below, f"{depth} directories deep", str(self.limits.depth))
        self.directories += 1  # links among directories can multiply paths without a single file
        if self.directories > self.limits.files:
            raise SourceTooLarge("the model", f"more than {self.limits.files} directories", str(self.limits.files))
        with os.scandir(directory) as found:
            entries = list(found)
        for entry in entries:
            if entry.is_symlink():
                with suppress(FileNotFoundError):  # gone since the directory was listed: the next look tells
                    self.links[f"{below}{entry.name}"] = _stamp(entry.stat(follow_symlinks=False))
        for entry in entries:
            if not entry.name.startswith("."):
                self._visit(entry, f"{below}{entry.name}", depth, above)

    def _visit(self, entry: os.DirEntry[str], path: str, depth: int, above: tuple[str, ...]) -> None:
        if entry.is_symlink():
            self._follow(entry.path, path, depth, above)
        elif entry.is_dir(follow_symlinks=False):
            self.enter(entry.path, f"{path}/", depth + 1, (*above, entry.path))
        elif path.endswith(_SUFFIXES):
            self._keep(path, entry.path, entry.stat(follow_symlinks=False))

    def _follow(self, link: str, path: str, depth: int, above: tuple[str, ...]) -> None:
        try:
            real = os.path.realpath(link, strict=True)
        except OSError:
            if path.endswith(_SUFFIXES):
                raise  # a link to nothing: what it stood for is unknown, not gone
            return
        found = Path(real).lstat()
        is_directory = stat.S_ISDIR(found.st_mode)
        if not is_directory and not path.endswith(_SUFFIXES):
            return
        if real != self.root and not real.startswith(f"{self.root}{os.sep}"):
            raise LinkLeavesTree(path)
        if not is_directory:
            self._keep(path, real, found)
        elif real not in above:  # a link to a directory it lies in would never end
            self.enter(real, f"{path}/", depth + 1, (*above, real))

    def _keep(self, path: str, real: str, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise SourceUnreadable(path, "not a regular file")
        if found.st_size > self.limits.file_bytes:
            raise SourceTooLarge(path, f"{found.st_size} bytes", f"{self.limits.file_bytes} bytes")
        if len(self.files) >= self.limits.files:
            raise SourceTooLarge("the model", f"more than {self.limits.files} files", str(self.limits.files))
        self.files[path] = (real, _stamp(found))


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _read_file(path: str, real: str, limit: int) -> bytes:
    try:
        # No link at the end and no waiting for a pipe: what was surveyed may have been swapped since.
        fd = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:  # noqa: PTH123 - it is a descriptor
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise SourceUnreadable(path, "not a regular file")
            data = file.read(limit + 1)
    except OSError as error:
        raise SourceUnreadable(path, error.strerror or type(error).__name__) from error
    if len(data) > limit:
        raise SourceTooLarge(path, f"more than {limit} bytes", f"{limit} bytes")
    return data


def state_of(root: Path, limits: Limits) -> Survey | str:
    """A survey, or in words why there is none: both can be compared with an earlier state."""
    try:
        return survey(root, limits)
    except SourceError as error:
        return str(error)
