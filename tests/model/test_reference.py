"""The reference: everything is described, everything is in the schema."""

import re
from collections.abc import Iterator

import pytest

from driftd.model.lint import RULES
from driftd.model.reference import json_schema, markdown
from driftd.model.schema import DOCUMENT_KINDS


def nodes(node: object) -> Iterator[dict[str, object]]:
    if isinstance(node, dict):
        yield node
        for member in node.values():
            yield from nodes(member)
    elif isinstance(node, list):
        for member in node:
            yield from nodes(member)


def test_every_reference_leads_somewhere_and_every_pattern_is_one() -> None:
    schema = json_schema()
    for node in nodes(schema):
        if isinstance(reference := node.get("$ref"), str):
            assert reference.removeprefix("#/$defs/") in schema["$defs"]
        if isinstance(pattern := node.get("pattern"), str):
            re.compile(pattern)


def test_every_object_of_the_schema_is_closed() -> None:
    for name, definition in json_schema()["$defs"].items():
        if "properties" in definition:
            assert definition["additionalProperties"] is False, name


def test_every_field_says_what_it_means() -> None:
    for row in markdown().splitlines():
        if row.startswith("| `"):
            assert row.removesuffix(" |").rpartition("|")[2].strip(), row


@pytest.mark.parametrize("kind", DOCUMENT_KINDS)
def test_every_kind_has_its_chapter(kind: str) -> None:
    assert f"\n## {kind}\n" in markdown()


def test_every_rule_says_its_law() -> None:
    for rule in RULES:
        assert rule.__doc__
        assert rule.__doc__.splitlines()[0] in markdown()
