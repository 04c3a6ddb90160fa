"""Options that `explain`, `matrix` and `impact` share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class DialectName(StrEnum):
    """The readings of NetworkPolicy that driftd knows."""

    KUBERNETES = "kubernetes"
    CALICO = "calico"
    CILIUM = "cilium"


WorldModelsOption = Annotated[
    Path | None,
    typer.Option(
        "--models",
        "-m",
        envvar="DRIFTD_MODEL__PATH",
        exists=True,
        file_okay=False,
        help="Ask the model; beside live state it lends its dialect, tenants and services.",
    ),
]
WorldManifestsOption = Annotated[
    list[Path] | None,
    typer.Option("--manifests", help="Ask files of ordinary Kubernetes YAML or JSON; - is stdin. May be repeated."),
]
WorldKubeconfigOption = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig",
        envvar="DRIFTD_API__KUBECONFIG",
        help="Ask the cluster of these credentials; in a pod leave it out.",
    ),
]
DialectOption = Annotated[
    DialectName | None,
    typer.Option("--dialect", help="Whose reading of NetworkPolicy; unset: the model's, else kubernetes."),
]


def names_the_model(context: typer.Context) -> bool:
    """Whether the command line names a model and no live state: what the environment says then counts for nothing."""
    by_hand = {
        name
        for name in ("models", "manifests", "kubeconfig", "context")
        if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    }
    return by_hand == {"models"}
