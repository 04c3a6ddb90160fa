"""What an API server says of a kind's fields: its OpenAPI v3 document, read as a tree."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.sameness import Path
from tests.support.kube import Body, Kube


@dataclass(frozen=True)
class Node:
    """One field. `parts` by name, or `element` of a list, or `entry` of a map whose keys people choose, or a leaf."""

    types: frozenset[str] = frozenset()
    parts: Mapping[str, "Node"] = field(default_factory=dict)
    element: "Node | None" = None
    entry: "Node | None" = None
    required: frozenset[str] = frozenset()
    choices: tuple[Any, ...] = ()

    @property
    def is_leaf(self) -> bool:
        return not self.parts and self.element is None and self.entry is None

    def below(self, part: str) -> "Node":
        """The node that a part of a `Path` leads to."""
        found = {"[]": self.element, "*": self.entry}.get(part) or self.parts.get(part)
        assert found is not None, part
        return found

    def leaves(self, path: Path = ()) -> Iterator[Path]:
        """The path of every field that has no parts."""
        if self.is_leaf:
            yield path
        for name, part in self.parts.items():
            yield from part.leaves((*path, name))
        for mark, inner in (("[]", self.element), ("*", self.entry)):
            if inner is not None:
                yield from inner.leaves((*path, mark))


async def schema_of(kube: Kube, group: str, version: str, kind: str) -> Node | None:
    """The kind as this server describes it; None while it does not."""
    place = f"apis/{group}/{version}" if group else f"api/{version}"
    index = await kube.request("GET", "openapi/v3")
    if place not in index["paths"]:
        return None
    document = await kube.request("GET", index["paths"][place]["serverRelativeURL"])
    known = document.get("components", {}).get("schemas", {})
    wanted = {"group": group, "version": version, "kind": kind}
    for schema in known.values():
        if wanted in schema.get("x-kubernetes-group-version-kind", ()):
            return _node(schema, known)
    return None


def _node(schema: Body, known: Mapping[str, Body]) -> Node:
    whole: Body = {}
    for one in (schema, *schema.get("allOf", ())):
        if "$ref" in one:
            whole |= known[one["$ref"].rpartition("/")[2]]
        whole |= {key: value for key, value in one.items() if key not in ("$ref", "allOf", "description")}
    either: list[Body] = whole.get("oneOf") or whole.get("anyOf") or []
    types = {one["type"] for one in [whole, *either] if "type" in one}
    if whole.get("x-kubernetes-int-or-string") or whole.get("format") == "int-or-string":
        types = {"integer", "string"}
    entry = whole.get("additionalProperties")
    return Node(
        types=frozenset(types),
        parts={name: _node(part, known) for name, part in whole.get("properties", {}).items()},
        element=_node(whole["items"], known) if "items" in whole else None,
        entry=_node(entry, known) if isinstance(entry, dict) and entry else None,
        required=frozenset(whole.get("required", ())),
        choices=tuple(whole.get("enum", ())),
    )
