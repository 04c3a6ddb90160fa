"""The language's own description, made from its classes: JSON Schema for editors and the page docs/model.md."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from driftd.model.kinds import MANIFEST_KINDS
from driftd.model.lint import RULES
from driftd.model.schema import API_VERSION, DOCUMENT_KINDS, PortSpec

SCHEMA_FILE = "driftd.dev_v1alpha1.json"
"""Name of the JSON Schema below deploy/schemas."""

_HEAD = f"""# The model

Everything that may stand in a model, made from the classes in `driftd/model/schema` and the rules in
`driftd/model/lint` (`make docs`). An example that teaches is in [models/](../models/). One model root is one cluster;
every `*.yaml` and `*.yml` below it is read, but for the rule files that a FalcoRuleset lists and for paths with a part
that begins with a dot. Each document says `apiVersion: {API_VERSION}`, its `kind` and `metadata.name`.

For an editor put this at the top of a file, with the path that leads from there to `deploy/schemas`:

    # yaml-language-server: $schema=../deploy/schemas/{SCHEMA_FILE}

## How files are read

* YAML 1.2, core schema. Only `true` and `false` are booleans: `no`, `on` and `y` are strings. Integers are decimal, so
  `010` is ten; octal is `0o10`. Dates, and times such as `12:30`, are strings wherever no date is asked for.
* Refused, with file, line and column: aliases and anchors, tags, duplicate keys, keys that are not strings (write
  `"8080":`), merge keys, numbers that JSON cannot carry, control and bidirectional characters, files over 1 MiB,
  nesting over 64, names that are not ASCII.
* A field that the language does not know is an error: a misspelt wish must not be a wish that nobody reads.
* `mode: report` anywhere (Cluster, `kinds`, Plan, Environment) beats `enforce`.
* Ports are pod ports: a number, or `{{number, protocol: TCP | UDP | SCTP, app: http | grpc | tcp}}`; TCP and tcp unless
  said. `paths` and `methods` need `http` or `grpc`, and a mesh.
* A call goes to a service of the same environment, to an attachment of it, or to `shared/<name>`. Where a service has
  several ports, the call names one; attachments and shared services have one port without a name.
* A pod belongs to the service whose labels and service account it carries. Any other pod is unmodelled and entitled to
  nothing.
* A namespace is governed if an Environment or a plain Namespace manifest names it. `platformNamespaces`, and the
  namespaces of the name service, the gateway, attachments and shared services, may not be.

## When a file is broken

Environments, the manifests of their namespaces and rulesets with a `tenant` are that tenant's files; everything else,
every Exemption included, is the platform's. With an error in a tenant's file all files of that tenant stay as they were
in the last good revision, and the other tenants' changes go on. When two tenants contradict each other, the one whose
change brought the contradiction goes back. An error in the platform's files, and a new file of which nobody can tell
whose it is, hold the whole revision. A file that holds documents of two tenants, or a tenant's and the platform's,
binds their fates together: keep one owner a file.
"""


def json_schema() -> dict[str, Any]:
    """One JSON Schema (2020-12) for every document that may stand in a model; plain manifests are let through."""
    kinds = sorted(DOCUMENT_KINDS.items())
    references, schema = models_json_schema([(cls, "validation") for _, cls in kinds], ref_template="#/$defs/{model}")
    definitions = _closed(schema["$defs"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"driftd model, {API_VERSION}",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata"],
        "allOf": [
            {
                "if": {"properties": {"apiVersion": {"const": API_VERSION}, "kind": {"const": kind}}},
                "then": references[(cls, "validation")],
            }
            for kind, cls in kinds
        ],
        "if": {"properties": {"apiVersion": {"pattern": "^driftd\\.dev/"}}},
        "then": {"properties": {"apiVersion": {"const": API_VERSION}, "kind": {"enum": [kind for kind, _ in kinds]}}},
        "$defs": definitions,
    }


def json_schema_text() -> str:
    """The JSON Schema as the bytes of its file."""
    return orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"


def _closed(node: Any) -> Any:
    """Names that do not match their pattern are refused by editors too."""
    if isinstance(node, list):
        return [_closed(member) for member in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(member) for key, member in node.items()}
    if "patternProperties" in closed:
        closed.setdefault("additionalProperties", False)
    return closed


def markdown() -> str:
    """The page docs/model.md: reading rules, every field of every kind, plain manifests, the linter's rules."""
    parts = [_HEAD]
    for kind, cls in DOCUMENT_KINDS.items():
        schema = TypeAdapter(cls).json_schema()
        head = f"## {kind}\n\n{schema.get('description', '')}\n\n| field | value | default | meaning |\n"
        parts.append(head + "|---|---|---|---|\n" + "".join(_Table(schema).rows()))
    parts.append(_manifests())
    parts.append(_rules())
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _manifests() -> str:
    kinds = "\n".join(f"* `{kind.kind}` (`apiVersion: {kind.api_version}`)" for kind in MANIFEST_KINDS.values())
    return f"""## Plain manifests

A Kubernetes object of a governed kind may stand beside the documents above and is then canonical word for word, without
what the cluster sets itself (`status`, `metadata.uid` and the like):

{kinds}

A namespaced one stands in a governed namespace; a Namespace carries the label `driftd.dev/tenant`. None may have the
identity of an object that driftd compiles.
"""


def _rules() -> str:
    lines = "\n".join(
        f"* **{rule.__name__.replace('_', ' ')}**: {(rule.__doc__ or '').strip().splitlines()[0]}" for rule in RULES
    )
    return f"""## Rules across documents

Each contradiction is an error with its place and its fix. Warnings (an exemption that has ended, a port that nothing
reaches, an attachment to a namespace that the model does not know) never change an exit code.

{lines}
"""


class _Table:
    """Rows of one kind, depth first, a field before what is inside it."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema
        self.definitions: Mapping[str, Any] = schema.get("$defs", {})

    def rows(self) -> Iterator[str]:
        for name in ("metadata", "spec"):
            yield from self.field(name, self.schema["properties"][name], required=name in self.schema["required"])

    def field(self, path: str, node: Mapping[str, Any], *, required: bool) -> Iterator[str]:
        target = self.follow(node)
        description = str(node.get("description") or target.get("description", "")).replace("|", "\\|")
        default = "**required**" if required else _default(node)
        yield f"| `{path}` | {self.kind(node)} | {default} | {description.splitlines()[0] if description else ''} |\n"
        yield from self.inside(path, node)

    def inside(self, path: str, node: Mapping[str, Any]) -> Iterator[str]:
        """What stands below a field, for each form that it can have."""
        target = self.follow(node)
        forms = [form for form in _forms(target) if self.has_fields(form)]
        for index, form in enumerate(forms):
            if len(forms) > 1:
                meaning = str(self.follow(form).get("description", "")).splitlines()[0]
                yield f"| `{path}` | {'or' if index else 'either'} |  | {meaning} |\n"
            yield from self.inside(path, form)
        for name, member in target.get("properties", {}).items():
            yield from self.field(f"{path}.{name}", member, required=name in target.get("required", ()))
        for member in self.members(target):
            if self.has_fields(member):
                yield from self.inside(f"{path}.<name>", member)
        items = target.get("items")
        if isinstance(items, dict) and self.has_fields(items):
            yield from self.inside(f"{path}[]", items)

    def has_fields(self, node: Mapping[str, Any]) -> bool:
        target = self.follow(node)
        if _is_port(target):
            return False
        return "properties" in target or any(self.has_fields(form) for form in _forms(target))

    def follow(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in node:
            node = self.definitions[node["$ref"].rpartition("/")[2]]
        return node

    def members(self, target: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Schemas of a map's values."""
        found = list(target.get("patternProperties", {}).values())
        extra = target.get("additionalProperties")
        return [*found, extra] if isinstance(extra, dict) else found

    def kind(self, node: Mapping[str, Any]) -> str:
        """What a field holds, in a few words."""
        target = self.follow(node)
        if "const" in target:
            return f"`{target['const']}`"
        if "enum" in target:
            return " or ".join(f"`{word}`" for word in target["enum"])
        forms = [form for form in _forms(target) if form.get("type") != "null"]
        if any(_is_port(self.follow(form)) for form in forms):
            return "port"
        if forms:
            return " or ".join(dict.fromkeys(self.kind(form) for form in forms))
        if "items" in target:
            return f"list of {self.kind(target['items'])}"
        members = self.members(target)
        if members:
            return f"map of {self.kind(members[0])}"
        if target.get("type") == "integer" and "minimum" in target:
            return (
                f"{target['minimum']} to {target['maximum']}" if "maximum" in target else f"{target['minimum']} or more"
            )
        if target.get("format") == "date":
            return "date"
        names = {"object": "mapping", "boolean": "`true` or `false`", "string": "text"}
        return str(target.get("$comment") or names.get(str(target.get("type")), target.get("type", "any value")))


def _forms(node: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    return (*node.get("anyOf", ()), *node.get("oneOf", ()))


def _is_port(node: Mapping[str, Any]) -> bool:
    """The port's object form, described once for the whole page."""
    return node.get("title") == PortSpec.__name__


def _default(node: Mapping[str, Any]) -> str:
    value = node.get("default")
    return "" if value in (None, [], {}, "") else f"`{orjson.dumps(value).decode()}`".replace('"', "")
