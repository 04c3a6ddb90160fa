"""The model's files in a commit's tree, by the rules of a directory: hidden names skipped, links kept inside."""

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from driftd.model import SourceFile
from driftd.source.errors import LinkLeavesTree, SourceTooLarge, SourceUnreadable
from driftd.source.git.errors import LargeFileElsewhere, SubmoduleInModel
from driftd.source.git.pack import BLOB, TREE, Damaged, Stored
from driftd.source.revision import Limits

_DIRECTORY, _LINK, _SUBMODULE, _FORMAT = 0o040000, 0o120000, 0o160000, 0o170000
_SUFFIXES = (".yaml", ".yml")
_LFS = b"version https://git-lfs.github.com/spec/"
_ROOT = "."
_LINKS = 16
"""Links one path may go through: more is a circle."""
_LONGEST_LINK = 4096
"""Bytes of a link's text: what an operating system takes (PATH_MAX)."""
_ENTRIES_A_FILE = 20
"""Entries looked at for each file that a model may have. Folders and links that stand in many places are looked at in
each: without this a pack of some kilobytes would cost hours."""


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    mode: int
    id: str


def _at_leisure() -> None:
    """No deadline."""


def model_files(
    tree: str,
    folder: str,
    objects: Mapping[str, Stored],
    limits: Limits,
    in_time: Callable[[], None] = _at_leisure,
) -> tuple[SourceFile, ...]:
    """Every `.yaml` and `.yml` below `folder`, ordered by path. `in_time` is called on the way and ends it by raising.

    Raises:
        SourceError, Damaged, and what `in_time` raises.
    """
    walk = _Walk(objects, limits, in_time)
    root = walk.at(tree, folder)
    if root is None or root.mode & _FORMAT != _DIRECTORY:
        raise SourceUnreadable(folder or "the repository", "there is no such folder in this commit")
    walk.root = root.id
    walk.enter(root.id, "", _ROOT, (_ROOT,))
    return tuple(SourceFile(path, data) for path, data in sorted(walk.files.items()))


class _Walk:
    """One walk down a tree of objects."""

    def __init__(self, objects: Mapping[str, Stored], limits: Limits, in_time: Callable[[], None]) -> None:
        self._objects = objects
        self._limits = limits
        self._in_time = in_time
        self.root = ""
        self.files: dict[str, bytes] = {}
        self._read: dict[str, Mapping[str, _Entry]] = {}
        self._total = 0
        self._folders = 0
        self._links = 0
        self._looked_at = 0

    def at(self, tree: str, path: str) -> _Entry | None:
        """What lies at a path below a tree, links not followed; None where there is nothing."""
        found = _Entry("", _DIRECTORY, tree)
        for part in [part for part in path.split("/") if part not in ("", ".")]:
            if found.mode & _FORMAT != _DIRECTORY:
                return None
            inside = self._entries(found.id).get(part)
            if inside is None:
                return None
            found = inside
        return found

    def enter(self, tree: str, below: str, place: str, above: tuple[str, ...]) -> None:
        """Walk a folder that is told as `below` and really lies at `place`; links are meant from there.

        `above` are the places of the folders that it is told in, and its own.
        """
        if len(above) > self._limits.depth:
            raise SourceTooLarge(below, f"{len(above)} directories deep", str(self._limits.depth))
        self._folders += 1  # one tree can stand in many places: a few objects can be millions of paths
        if self._folders > self._limits.files:
            raise SourceTooLarge("the model", f"more than {self._limits.files} directories", str(self._limits.files))
        entries = self._entries(tree)
        self._look_at(len(entries))
        for entry in entries.values():
            if not entry.name.startswith("."):
                self._visit(entry, f"{below}{entry.name}", posixpath.normpath(posixpath.join(place, entry.name)), above)

    def _visit(self, entry: _Entry, path: str, place: str, above: tuple[str, ...]) -> None:
        kind = entry.mode & _FORMAT
        if kind == _SUBMODULE:
            raise SubmoduleInModel(path)
        if kind == _DIRECTORY:
            self.enter(entry.id, f"{path}/", place, (*above, place))
        elif kind == _LINK:
            self._follow(entry, path, place, above)
        else:
            self._keep(entry, path)

    def _follow(self, entry: _Entry, path: str, place: str, above: tuple[str, ...]) -> None:
        found, place = self._target(entry, path, place)
        if found is None:
            if path.endswith(_SUFFIXES):  # what it stood for is unknown, not gone
                raise SourceUnreadable(path, "a link to nothing, or through another link")
            return
        if found.mode & _FORMAT == _SUBMODULE:
            raise SubmoduleInModel(path)
        if found.mode & _FORMAT != _DIRECTORY:
            self._keep(found, path)
        elif place not in above:  # a link to a folder it lies in would never end
            self.enter(found.id, f"{path}/", place, (*above, place))

    def _target(self, entry: _Entry, path: str, place: str) -> tuple[_Entry | None, str]:
        """What a link ends at and where that lies, links to links followed; None where there is nothing."""
        for _ in range(_LINKS):
            self._links += 1
            if self._links > self._limits.files:
                raise SourceTooLarge("the model", f"more than {self._limits.files} links", str(self._limits.files))
            self._in_time()
            target = self._blob(entry.id, path)
            if len(target) > _LONGEST_LINK:
                raise SourceTooLarge(path, f"a link of {len(target)} bytes", f"{_LONGEST_LINK} bytes")
            text = target.decode("utf-8", "surrogateescape")
            if _turns_back(text):
                raise SourceUnreadable(path, f"its link goes down and up again ({text[:80]!r}): name the file itself")
            place = posixpath.normpath(posixpath.join(posixpath.dirname(place), text))
            if text.startswith("/") or place == ".." or place.startswith("../"):
                raise LinkLeavesTree(path)
            found = self.at(self.root, place)
            if found is None or found.mode & _FORMAT != _LINK:
                return found, place
            entry = found
        raise SourceUnreadable(path, "a link in a circle")

    def _keep(self, entry: _Entry, path: str) -> None:
        if not path.endswith(_SUFFIXES):
            return
        data = self._blob(entry.id, path)
        if len(data) > self._limits.file_bytes:
            raise SourceTooLarge(path, f"{len(data)} bytes", f"{self._limits.file_bytes} bytes")
        if data.startswith(_LFS):
            raise LargeFileElsewhere(path)
        self._total += len(data)
        if self._total > self._limits.total_bytes:
            raise SourceTooLarge("the model", f"more than {self._total} bytes", f"{self._limits.total_bytes} bytes")
        if len(self.files) >= self._limits.files:
            raise SourceTooLarge("the model", f"more than {self._limits.files} files", str(self._limits.files))
        self.files[path] = data

    def _blob(self, id: str, path: str) -> bytes:
        found = self._objects.get(id)
        if found is None or found.type != BLOB:
            raise Damaged(f"the content of {path} is missing")
        return found.data

    def _look_at(self, entries: int) -> None:
        self._in_time()
        self._looked_at += entries
        most = self._limits.files * _ENTRIES_A_FILE
        if self._looked_at > most:
            raise SourceTooLarge("the model", f"more than {most} entries of folders", str(most))

    def _entries(self, tree: str) -> Mapping[str, _Entry]:
        """What a tree holds, by name, in git's order; each tree is read once."""
        entries = self._read.get(tree)
        if entries is None:
            found = self._objects.get(tree)
            if found is None or found.type != TREE:
                raise Damaged(f"the folder {tree} is missing")
            self._look_at(found.data.count(b"\0"))
            entries = self._read[tree] = _parsed(tree, found.data)
        return entries


def _parsed(tree: str, data: bytes) -> Mapping[str, _Entry]:
    entries: dict[str, _Entry] = {}
    at = 0
    while at < len(data):
        space, end = data.find(b" ", at), data.find(b"\0", at)
        if not at < space < end or end + 21 > len(data):
            raise Damaged(f"the folder {tree} is cut off")
        try:
            mode = int(data[at:space], 8)
        except ValueError:
            raise Damaged(f"the folder {tree} has an entry without a mode") from None
        name = data[space + 1 : end].decode("utf-8", "surrogateescape")
        if name in entries or name in (".", "..", "") or "/" in name:
            raise Damaged(f"the folder {tree} has an entry with a name that means another place, or twice one name")
        entries[name] = _Entry(name, mode, data[end + 1 : end + 21].hex())
        at = end + 21
    return entries


def _turns_back(link: str) -> bool:
    """Whether `..` follows a name: what that means depends on whether the name is a link."""
    named = False
    for part in link.split("/"):
        if part == ".." and named:
            return True
        named = named or part not in ("", ".", "..")
    return False
