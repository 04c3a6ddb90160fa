"""`driftd schema`: JSON Schema of the model, and of every document that the commands print."""

from typing import Annotated

import typer


def schema(
    kind: Annotated[
        str | None, typer.Argument(help="A document's kind, such as DriftReport; without one, the model.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the documents that have a schema.")] = False,
) -> None:
    """Print JSON Schemas.

    Of the model, for editors; or of a document that `-o json` prints.
    """
    from driftd.cli.documents import DOCUMENTS, schema_of
    from driftd.cli.show import table

    if listed:
        rows = [("Model", "the canonical model's files (the default)")]
        rows += [(name, " ".join((one.__doc__ or "").split())) for name, one in sorted(DOCUMENTS.items())]
        table(("KIND", "WHAT"), rows)
        return
    import orjson

    if kind in (None, "Model"):
        from driftd.model import json_schema

        found: object = json_schema()
    elif kind in DOCUMENTS:
        found = schema_of(kind)
    else:
        raise typer.BadParameter(f"there is no document {kind}; `driftd schema --list` names them", param_hint="KIND")
    typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
