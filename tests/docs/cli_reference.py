"""docs/cli.md and the JSON Schemas of the printed documents, made from the command tree and the document classes."""

import json
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import typer.main

from driftd.cli.documents import DOCUMENTS, schema_of
from driftd.cli.root import app

_ROOT = Path(__file__).resolve().parents[2]
PAGE = _ROOT / "docs" / "cli.md"
SCHEMAS = _ROOT / "deploy" / "schemas" / "documents"

HEAD = """# The command line

Every command, made from the command tree in `driftd/cli` (`make docs`). `driftd --help` and `driftd COMMAND --help` say
the same.

**stdout holds only the document.** Warnings, progress and sums go to stderr. Colours, boxes and progress show on a
terminal only, and colours not under `NO_COLOR`. `-o json` and `-o yaml` print documents with `apiVersion` and `kind`;
each has a schema (`driftd schema KIND`), and the schemas lie in
[deploy/schemas/documents](../deploy/schemas/documents). `driftd compile` is the exception: it prints Kubernetes
objects, as JSON one `List`.

**Exit codes** are the same everywhere:

| code | meaning |
|---|---|
| 0 | Clean: all was looked at, and nothing is wrong. |
| 1 | Drift. Of `lint`: the model has an error. `impact`: something opens. `matrix --against`: differences. \
`adopt`: something still differs. `history --verify`: the chain is not whole. \
`doctor`: something is missing. `page --test`: a destination does not accept. `approve`: a model is held. \
`demo`: not everything was healed. |
| 2 | Wrong usage. For `check`, `diff`, `compile`, `adopt`, `explain`, `matrix` and `impact` also a model with errors. |
| 3 | Could not tell: something was not read, reached or judged. 3 beats 1; what was found is printed all the same. |

Warnings of the model never change an exit code.

**Live state** comes from a cluster (`--kubeconfig`; in a pod its own account) or from files (`--manifests`): what
`kubectl get` writes, in any number of files, folders, documents and lists, YAML or JSON. A file that cannot be read is
named, the rest is read, and the exit code is 3. A list that is complete proves that what it lacks is not there; as soon
as anything could not be read, nothing is called missing.

**Not taken over yet.** An object that is as the model has it, but carries none of driftd's own marks (the annotation
`driftd.dev/model`, on a Namespace also the label `driftd.dev/tenant`), has never been written by driftd. That is drift
like any other, with exit code 1, since the daemon calls it so: an enforcing one writes the marks once. `check` and
`diff` name such objects apart (`unmarked` in the document, a remark on stderr), so that the first look at a cluster
that is in order can be told from one at a cluster that is not.

**In CI**, with a cluster's objects beside the model:

    kubectl get ns,networkpolicies,resourcequotas,limitranges,serviceaccounts -A -o yaml > live.yaml
    driftd lint --models models
    driftd check --models models --manifests live.yaml
"""


def page() -> str:
    """The whole page as Markdown."""
    root: Any = typer.main.get_command(app)
    parts = [HEAD, *_commands(root, "driftd"), *_documents()]
    return "\n".join(parts).rstrip() + "\n"


def _commands(group: Any, above: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        called = f"{above} {name}"
        yield f"## {called}\n\n{_text(command.help)}\n"
        if hasattr(command, "commands"):
            yield from _commands(command, called)
        else:
            yield f"{_table(command)}\n"


def _text(told: str | None) -> str:
    paragraphs = (told or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _table(command: Any) -> str:
    rows = [_row(parameter) for parameter in command.params if parameter.name != "help" and not parameter.hidden]
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *rows]) if rows else "It takes no options."


def _row(parameter: Any) -> str:
    if parameter.opts[0].startswith("-"):
        name = ", ".join(f"`{one}`" for one in (*parameter.opts, *parameter.secondary_opts))
    else:
        name = f"`{parameter.metavar or parameter.name.upper()}`"
    meaning = " ".join((parameter.help or "").split()).replace("|", "\\|")
    values = _values(parameter.default)
    if values:
        meaning += f" One of {values}."
    if parameter.envvar:
        meaning += f" Also the variable `{parameter.envvar}`."
    return f"| {name} | {_default(parameter)} | {meaning} |"


def _values(default: object) -> str:
    return ", ".join(f"`{one.value}`" for one in type(default)) if isinstance(default, Enum) else ""


def _default(parameter: Any) -> str:
    if parameter.required:
        return "(required)"
    if isinstance(parameter.show_default, str):
        return f"`{parameter.show_default}`"
    default = parameter.default
    if default is None or default is False or default == ():
        return ""
    return f"`{default.value if isinstance(default, Enum) else default}`"


def _documents() -> Iterator[str]:
    yield "## Documents\n"
    yield "| kind | what it is |\n|---|---|"
    for name, document in sorted(DOCUMENTS.items()):
        yield f"| [{name}](../deploy/schemas/documents/{name}.json) | {' '.join((document.__doc__ or '').split())} |"


def _schema_text(kind: str) -> str:
    return json.dumps(schema_of(kind), indent=2) + "\n"


def _schema_writer(kind: str) -> Callable[[], str]:
    return lambda: _schema_text(kind)


PAGES: Mapping[Path, Callable[[], str]] = {
    PAGE: page,
    **{SCHEMAS / f"{kind}.json": _schema_writer(kind) for kind in sorted(DOCUMENTS)},
}
"""What each generated file must hold."""


def write() -> None:
    """Write the files anew, and take schemas of documents away that exist no more."""
    SCHEMAS.mkdir(parents=True, exist_ok=True)
    for stale in set(SCHEMAS.glob("*.json")) - PAGES.keys():
        stale.unlink()
    for path, text in PAGES.items():
        path.write_text(text())


if __name__ == "__main__":
    write()
