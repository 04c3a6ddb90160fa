"""What is shipped is taken by a real API server as it stands, field by field."""

from pathlib import Path

import pytest
import yaml

from driftd.lab import Lab
from tests.deploy.rendered import FILES, MANIFESTS
from tests.support.helm import template
from tests.support.kube import Body, Kube
from tests.support.stage import install

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(120)]

SEVERAL = (
    "--set",
    "replicas=2,store.urlSecret.name=pg,networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team=ops",
    "--set",
    "networkPolicy.apiServer.cidrs={10.0.0.1/32},protectedNamespaces={kube-*,ingress},secretFiles={git-key}",
    "--set",
    "env.HTTPS_PROXY=http://proxy:3128,secretSettings.OTEL_EXPORTER_OTLP_HEADERS.name=a,secretSettings.OTEL_EXPORTER_OTLP_HEADERS.key=b",
    "--set",
    "api.certificateSecret=tls,api.from[0].podSelector.matchLabels.app=ui,tolerations[0].operator=Exists,nodeSelector.role=infra,podAnnotations.a=b,imagePullSecrets[0].name=pull",
)


async def tried(kube: Kube, documents: list[Body]) -> None:
    """Apply each as a dry run; an unknown or doubled field is an error."""
    for body in documents:
        meta = body["metadata"]
        path = Kube.path(body["kind"], meta.get("namespace", ""), meta["name"])
        query = "?dryRun=All&fieldValidation=Strict&fieldManager=test&force=true"
        await kube.request("PATCH", path + query, body=body, content_type="application/apply-patch+yaml")


async def test_the_api_server_takes_every_shipped_manifest(lab: Lab) -> None:
    async with Kube.connect(Path(lab.kubeconfig)) as kube:
        await install(kube)
        for name in FILES.values():
            await tried(kube, [body for body in yaml.safe_load_all((MANIFESTS / name).read_text()) if body])


async def test_the_api_server_takes_what_the_chart_renders_for_several_replicas(lab: Lab) -> None:
    text = template(*SEVERAL)
    async with Kube.connect(Path(lab.kubeconfig)) as kube:
        await install(kube)
        await tried(kube, [body for body in yaml.safe_load_all(text) if body])
