"""Models for tests: the example platform, and small ones written in a test."""

from pathlib import Path
from textwrap import dedent

from driftd.compile import Compiled, compile_model
from driftd.model import Model, SourceFile, load

EXAMPLE = Path(__file__).parents[2] / "models"

CLUSTER = """
apiVersion: driftd.dev/v1alpha1
kind: Cluster
metadata: {name: test}
spec:
  ranges: {pods: [10.244.0.0/16], services: [10.96.0.0/16], nodes: [10.99.0.0/24], apiServer: [10.96.0.1/32]}
  dns: {namespace: kube-system, labels: {k8s-app: kube-dns}}
  gateway: {namespace: ingress, labels: {app: gateway}}
  platformNamespaces: [kube-system, ingress, platform]
"""
PLAN = """
apiVersion: driftd.dev/v1alpha1
kind: Plan
metadata: {name: shared}
spec: {egress: {dns: false}}
"""


def example_files() -> tuple[SourceFile, ...]:
    """The files of the example platform."""
    found = sorted(path for path in EXAMPLE.rglob("*") if path.is_file())
    return tuple(SourceFile(path.relative_to(EXAMPLE).as_posix(), path.read_bytes()) for path in found)


def model_of(files: tuple[SourceFile, ...]) -> Model:
    """The model of some files; fails on the first problem that is an error."""
    loaded = load(files)
    errors = [str(problem) for problem in loaded.problems if problem.is_error]
    assert not errors, "\n".join(errors)
    assert loaded.model is not None
    return loaded.model


def written(*documents: str, cluster: str = CLUSTER, plan: str = PLAN) -> Model:
    """A small model: each document is a file of its own, `documents-<n>.yaml`."""
    texts = {"cluster.yaml": cluster, "plan.yaml": plan}
    texts |= {f"documents-{number}.yaml": text for number, text in enumerate(documents)}
    return model_of(tuple(SourceFile(path, dedent(text).encode()) for path, text in texts.items()))


def compiled_example() -> Compiled:
    """The example platform, compiled."""
    return compile_model(model_of(example_files()))
