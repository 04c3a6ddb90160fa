"""A generated platform of any size, ten NetworkPolicies a namespace, as model files: for benchmarks and campaigns."""

from pathlib import Path

CLUSTER = """apiVersion: driftd.dev/v1alpha1
kind: Cluster
metadata: {name: bench}
spec:
  cni: {dialect: kubernetes}
  ranges:
    pods: [10.244.0.0/16]
    services: [10.96.0.0/16]
    nodes: [10.99.0.0/24]
    apiServer: [10.96.0.1/32, 10.99.0.1/32]
    apiServerPorts: [443, 6443]
  dns: {namespace: kube-system, labels: {k8s-app: kube-dns}, port: 53}
  gateway: {namespace: ingress, labels: {app: gateway}}
  mesh: {kind: none}
  platformNamespaces: [kube-system, ingress, platform-logs]
  remediation: {mode: enforce}
---
apiVersion: driftd.dev/v1alpha1
kind: Plan
metadata: {name: shared}
spec:
  egress: {dns: true, https: public}
  podSecurity: restricted
  quota: {requests.cpu: "4", requests.memory: 8Gi, pods: "50"}
  limits: {default: {cpu: 500m, memory: 512Mi}}
---
apiVersion: driftd.dev/v1alpha1
kind: SharedService
metadata: {name: logs}
spec: {namespace: platform-logs, labels: {app: log-collector}, port: 8080, callers: {tenants: all}}
"""

ENVIRONMENT = """apiVersion: driftd.dev/v1alpha1
kind: Environment
metadata: {{name: {name}}}
spec:
  tenant: {tenant}
  plan: shared
  services:
    web:
      labels: {{app: web}}
      ports: {{http: 8080}}
      expose: [{{port: http, host: {name}.example}}]
      calls: [{{to: api, port: http}}]
    api:
      labels: {{app: api}}
      serviceAccount: api
      ports: {{http: 8080}}
      calls: [{{to: db}}, {{to: geo}}, {{to: shared/logs}}]
    worker:
      labels: {{app: worker}}
      ports: {{metrics: 9090}}
      calls: [{{to: db}}, {{to: cache}}, {{to: api, port: http}}]
    monitor: {{labels: {{app: monitor}}, calls: [{{to: worker, port: metrics}}]}}
  attachments:
    db: {{service: {{labels: {{app: db}}}}, port: 5432}}
    cache: {{service: {{labels: {{app: cache}}}}, port: 6379}}
    geo: {{cidr: 203.0.113.8/32, port: 443}}
"""


def write_platform(root: Path, namespaces: int, *, per_tenant: int = 2) -> list[str]:
    """Write a model with so many environments below `root`; returns their namespaces."""
    (root / "environments").mkdir(parents=True, exist_ok=True)
    (root / "cluster.yaml").write_text(CLUSTER)
    names = []
    for start in range(0, namespaces, per_tenant):
        tenant = f"t{start // per_tenant:05d}"
        documents = []
        for number in range(start, min(start + per_tenant, namespaces)):
            name = f"{tenant}-e{number - start}"
            names.append(name)
            documents.append(ENVIRONMENT.format(name=name, tenant=tenant))
        (root / "environments" / f"{tenant}.yaml").write_text("---\n".join(documents))
    return names
