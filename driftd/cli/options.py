"""Options that several commands share, said once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Output(StrEnum):
    """How the document on stdout is written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


DEFAULT_MODELS = Path("models")

ModelsOption = Annotated[
    Path,
    typer.Option(
        "--models",
        "-m",
        envvar="DRIFTD_MODEL__PATH",
        exists=True,
        file_okay=False,
        help="Directory of the canonical model.",
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print the result.")]
KubeconfigOption = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig",
        envvar="DRIFTD_API__KUBECONFIG",
        help="Credentials of the cluster to read; in a pod leave it out.",
    ),
]
ContextOption = Annotated[
    str | None,
    typer.Option("--context", envvar="DRIFTD_API__CONTEXT", help="Context of that kubeconfig."),
]
ManifestsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--manifests",
        help="Live objects in files instead of a cluster: a file, a directory or - for stdin; YAML or JSON, also "
        "lists. May be repeated.",
    ),
]
MorePathsArgument = Annotated[
    list[Path] | None,
    typer.Argument(help="More of --manifests, as a shell's pattern gives them.", metavar="[PATH]..."),
]
NamespacesOption = Annotated[
    list[str] | None, typer.Option("--namespace", "-n", help="Only this governed namespace. May be repeated.")
]
KindsOption = Annotated[
    list[str] | None,
    typer.Option("--kind", help="Only objects of this kind, such as NetworkPolicy. May be repeated."),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The daemon's folder.", show_default="where the daemon's settings say"),
]
DatabaseOption = Annotated[
    Path | None, typer.Option("--database", help="The SQLite file itself, such as a copy of it.")
]
ApiOption = Annotated[
    str,
    typer.Option("--api", envvar="DRIFTD_API_URL", help="Address of the daemon's API."),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option("--token-file", help="File with the token to ask with; else the kubeconfig's, or the pod's own."),
]
CaFileOption = Annotated[
    Path | None, typer.Option("--ca-file", help="Authorities to trust for an https address, instead of the usual ones.")
]
DEFAULT_API = "http://127.0.0.1:8081"
"""Where `kubectl port-forward` ends."""
