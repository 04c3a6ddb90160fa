"""A commit read strictly from its bytes: what was signed is what was sent, with one field cut out, never made anew."""

from collections.abc import Mapping
from dataclasses import dataclass

from driftd.source.git.pack import COMMIT, Damaged, Stored

_HEX = frozenset("0123456789abcdef")
_SIGNATURE = b"gpgsig "


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit. `signature` is the armoured signature or empty, `signed` the bytes that it must be over."""

    tree: str
    parents: tuple[str, ...]
    signature: bytes
    signed: bytes


def is_commit_name(text: str) -> bool:
    """Whether this is the full name of a commit, and not of a directory's content."""
    return len(text) == 40 and set(text) <= _HEX


def parse_commit(data: bytes) -> Commit:
    """Raises `Damaged` for anything but `tree`, `parent`s, other headers and a text, in git's own order.

    Two `tree` lines, or a second signature, would let two readers see two commits.
    """
    head, gap, _ = data.partition(b"\n\n")
    if not gap:
        raise Damaged("a commit has no end of its headers")
    lines = head.split(b"\n")
    tree = _named(lines[0], b"tree ")
    parents = []
    at = 1
    while at < len(lines) and lines[at].startswith(b"parent "):
        parents.append(_named(lines[at], b"parent "))
        at += 1
    if any(line.startswith((b"tree ", b"parent ")) for line in lines[at:]):
        raise Damaged("a commit names its tree or a parent where none may stand")
    first = [number for number, line in enumerate(lines) if line.startswith(_SIGNATURE)]
    if not first:
        return Commit(tree, tuple(parents), b"", data)
    if len(first) > 1:
        raise Damaged("a commit carries two signatures")
    begin = end = first[0]
    while end + 1 < len(lines) and lines[end + 1].startswith(b" "):
        end += 1
    block = [lines[begin].removeprefix(_SIGNATURE), *(line[1:] for line in lines[begin + 1 : end + 1])]
    kept = b"\n".join(lines[:begin] + lines[end + 1 :]) + data[len(head) :]
    return Commit(tree, tuple(parents), b"\n".join(block) + b"\n", kept)


def _named(line: bytes, label: bytes) -> str:
    name = line.removeprefix(label).decode("ascii", "replace")
    if not line.startswith(label) or not is_commit_name(name):
        raise Damaged(f"a commit has no well-formed {label.decode().strip()}")
    return name


def commit_among(objects: Mapping[str, Stored], name: str) -> Commit:
    """The commit of that name. Raises `Damaged` where there is none."""
    found = objects.get(name)
    if found is None or found.type != COMMIT:
        raise Damaged(f"the commit {name} is not in it")
    return parse_commit(found.data)


def leads_to(commit: str, of: str, objects: Mapping[str, Stored]) -> bool:
    """Whether `of` is `commit` or one of its ancestors, going by the commits among `objects` alone.

    A commit that is not among them ends its line: the caller asked for all that `of` does not reach.
    """
    waiting, seen = [commit], {commit}
    while waiting:
        name = waiting.pop()
        if name == of:
            return True
        found = objects.get(name)
        if found is None or found.type != COMMIT:
            continue
        for parent in parse_commit(found.data).parents:
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return False
