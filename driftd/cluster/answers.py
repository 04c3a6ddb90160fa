"""What came of a write, and where what came back differs from what was sent."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from driftd.values import Body, Live, Result

PATH_LIMIT: Final = 16
_SERVER_OWNED: Final = frozenset({"apiVersion", "kind", "metadata", "status"})


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of one write.

    `live` is the object as the server stored it, when it said so. `added` names fields that came back and were never
    sent (a default the server has learned: D3 says stop writing that kind), `changed` those that came back otherwise
    or not at all; at most 16 paths each. `retry_after` is the server's wish in seconds.
    """

    result: Result
    live: Live | None = None
    message: str = ""
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    retry_after: float | None = None

    @property
    def defaulted(self) -> bool:
        """The server only added fields: not a race and not a refusal, but a default nobody here knows."""
        return self.result is Result.DIFFERS and bool(self.added) and not self.changed


@dataclass(frozen=True, slots=True)
class Difference:
    """Paths that came back and were not sent, and paths that came back changed or not at all."""

    added: tuple[str, ...]
    changed: tuple[str, ...]


def difference(sent: Body, received: Body) -> Difference:
    """Compares two objects outside of what the server owns; within metadata only labels, annotations and owners.

    Lists are compared by position, so a default inside a list element is named with its index.
    """
    added: list[str] = []
    changed: list[str] = []
    for is_new, path in _walk(_ours(sent), _ours(received), ""):
        (added if is_new else changed).append(path)
    return Difference(tuple(added[:PATH_LIMIT]), tuple(changed[:PATH_LIMIT]))


def _ours(body: Body) -> Body:
    rest = {key: value for key, value in body.items() if key not in _SERVER_OWNED}
    metadata = body.get("metadata", {})
    kept = {key: metadata[key] for key in ("labels", "annotations", "ownerReferences") if metadata.get(key)}
    return {**rest, "metadata": kept} if kept else rest


def _walk(sent: Any, received: Any, path: str) -> Iterator[tuple[bool, str]]:
    if isinstance(sent, dict) and isinstance(received, dict):
        for key in sorted(sent.keys() | received.keys()):
            below = f"{path}.{key}" if path else str(key)
            if key not in sent:
                yield True, below
            elif key not in received:
                if not _is_empty(sent[key]):  # servers drop empty fields; that changes nothing
                    yield False, below
            else:
                yield from _walk(sent[key], received[key], below)
    elif isinstance(sent, list) and isinstance(received, list):
        for index, (one, other) in enumerate(zip(sent, received, strict=False)):
            yield from _walk(one, other, f"{path}[{index}]")
        if len(sent) != len(received):
            yield len(received) > len(sent) and not sent, path
    elif type(sent) is not type(received) or sent != received:
        yield False, path


def _is_empty(value: Any) -> bool:
    return value is None or value in ({}, [], "")
