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
        help="Ask the model; beside live state: for its dialect, tenants and services.",
    ),
]
WorldManifestsOption = Annotated[
    list[Path] | None,
    typer.Option("--manifests", help="Ask files of ordinary Kubernetes YAML or JSON; - is stdin. May be repeated."),
]
WorldKubeconfigOption = Annotated[
    Path | None,
    typer.Option("--kubeconfig", envvar="DRIFTD_API__KUBECONFIG", help="Ask the cluster of these credentials."),
]
DialectOption = Annotated[
    DialectName | None,
    typer.Option("--dialect", help="Whose reading of NetworkPolicy; unset: the model's, else kubernetes."),
]
