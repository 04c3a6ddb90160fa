"""Two tenants as a model, and a shop as anybody's manifests: for tests of who can reach whom."""

ACME = """\
apiVersion: driftd.dev/v1alpha1
kind: Environment
metadata: {name: acme-prod}
spec:
  tenant: acme
  plan: shared
  services:
    web:
      ports: {http: 8080}
      expose: [{port: http, host: shop.example.org}]
      calls: [{to: api}, {to: db}]
    api: {ports: {http: 9090}, serviceAccount: api}
  attachments:
    db: {service: {labels: {app: postgres}}, port: 5432}
"""
GLOBEX = """\
apiVersion: driftd.dev/v1alpha1
kind: Environment
metadata: {name: globex-prod}
spec:
  tenant: globex
  plan: shared
  services:
    web: {ports: {http: 8080}, expose: [{port: http, host: globex.example.org}]}
"""
WORKLOADS = """\
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Namespace
  metadata: {name: shop}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web, namespace: shop}
  spec:
    replicas: 3
    template:
      metadata: {labels: {app: web}}
      spec: {containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]}
- apiVersion: apps/v1
  kind: StatefulSet
  metadata: {name: db, namespace: shop}
  spec:
    template:
      metadata: {labels: {app: db}}
      spec: {containers: [{name: c, image: i, ports: [{name: pg, containerPort: 5432}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: postgres, namespace: shop}
spec: {selector: {app: db}, ports: [{port: 15432, targetPort: pg}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: backup}}}]
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: pg}]
"""
