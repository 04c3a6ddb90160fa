"""Small models as text, for tests."""

from collections.abc import Mapping

from driftd.model import Loaded, Model, Problem, SourceFile, lint, load

CLUSTER = """\
apiVersion: driftd.dev/v1alpha1
kind: Cluster
metadata: {name: test}
spec:
  ranges: {pods: [10.244.0.0/16], services: [10.96.0.0/16], nodes: [10.99.0.0/24], apiServer: [10.96.0.1/32]}
  dns: {namespace: kube-system, labels: {k8s-app: kube-dns}}
  gateway: {namespace: ingress, labels: {app: gateway}}
  platformNamespaces: [kube-system, ingress, platform-logs]
"""

PLAN = """\
apiVersion: driftd.dev/v1alpha1
kind: Plan
metadata: {name: shared}
"""

LOGS = """\
apiVersion: driftd.dev/v1alpha1
kind: SharedService
metadata: {name: logs}
spec: {namespace: platform-logs, labels: {app: logs}, port: 8080, callers: {tenants: all}}
"""

TO_API = """\
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: to-api, namespace: shop}
spec:
  order: 500
  selector: app == 'web'
  types: [Egress]
  egress: [{action: Allow, protocol: TCP, destination: {services: {name: api}}}]
"""
"""A rule of Calico's that goes by a Service, to stand behind an environment of the namespace `shop`."""


def environment(name: str, tenant: str, *, namespace: str = "", port: int = 8080) -> str:
    """A small environment without faults."""
    named = f"\n  namespace: {{name: {namespace}}}" if namespace else ""
    return f"""\
apiVersion: driftd.dev/v1alpha1
kind: Environment
metadata: {{name: {name}}}
spec:
  tenant: {tenant}
  plan: shared{named}
  services:
    web:
      ports: {{http: {port}}}
      expose:
        - {{port: http, host: {name}.example.org}}
"""


def files(texts: Mapping[str, str]) -> tuple[SourceFile, ...]:
    """Source files from texts by path."""
    return tuple(SourceFile(path, text.encode()) for path, text in texts.items())


def loaded(**texts: str) -> Loaded:
    """Load documents given by file name (without `.yaml`), beside a cluster and a plan unless these are given too."""
    return load(files({f"{name}.yaml": text for name, text in {"cluster": CLUSTER, "plan": PLAN, **texts}.items()}))


def model(**texts: str) -> Model:
    """The same, which must load."""
    result = loaded(**texts)
    assert result.model is not None, "\n".join(map(str, result.problems))
    return result.model


def linted(**texts: str) -> tuple[Problem, ...]:
    """The linter's problems of documents that load."""
    return lint(model(**texts))
