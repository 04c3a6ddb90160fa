"""Rules about what everybody leans on: plans, the API server's ranges, the mesh, rule files, exemptions."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from driftd.model.explanations import closest
from driftd.model.kinds import TOLD_KINDS, governed_kinds
from driftd.model.lint.finding import Linted
from driftd.model.places import Path
from driftd.model.problems import Problem
from driftd.model.schema import AnyDocument

_NEEDS_MESH = "nothing reads requests without a mesh (the Cluster's `mesh.kind` is `none`)"
_NOT_ENFORCED = "driftd does not write a mesh's policies yet: whoever may connect may make any request"


def plans_exist(linted: Linted) -> Iterator[Problem]:
    """An environment names a plan that the model holds."""
    for environment in linted.environments():
        if environment.spec.plan not in linted.model.plans:
            message = f"there is no Plan {environment.spec.plan!r}"
            remedy = closest(environment.spec.plan, linted.model.plans)
            yield linted.tell("error", environment, ("spec", "plan"), message, remedy)


def api_server_is_known(linted: Linted) -> Iterator[Problem]:
    """Reaching the API server takes its addresses."""
    cluster = linted.model.cluster
    if cluster.spec.ranges.api_server:
        return
    for environment in linted.environments():
        for name, service in environment.services.items():
            if service.api_server:
                yield linted.tell(
                    "error",
                    environment,
                    ("spec", "services", name, "apiServer"),
                    "the Cluster does not say where the API server is",
                    "add its virtual address and its nodes to the Cluster's `ranges.apiServer`",
                    against=(f"Cluster/{cluster.name}",),
                )


def requests_need_a_mesh(linted: Linted) -> Iterator[Problem]:
    """What cannot be enforced is told, never a silently weaker rule: an error where nobody could, else a warning."""
    meshed = linted.model.cluster.spec.mesh.kind != "none"
    severity: Literal["error", "warning"] = "warning" if meshed else "error"
    why = _NOT_ENFORCED if meshed else _NEEDS_MESH
    remedy = "hold it with policies of the mesh's own" if meshed else "delete it, or set a mesh in the Cluster"
    against = (f"Cluster/{linted.model.cluster.name}",)
    wishes: list[tuple[AnyDocument, Path]] = []
    for environment in linted.environments():
        for name, service in environment.services.items():
            for index, call in enumerate(service.calls):
                at = ("spec", "services", name, "calls", index)
                wishes.extend((environment, (*at, field)) for field in ("paths", "methods") if getattr(call, field))
    for shared in linted.model.shared_services.values():
        said = {"paths": shared.spec.paths, "methods": shared.spec.methods, "tenantHeader": shared.spec.tenant_header}
        wishes.extend((shared, ("spec", field)) for field, value in said.items() if value)
    for document, path in wishes:
        yield linted.tell(severity, document, path, f"`{path[-1]}`: {why}", remedy, against=against, key=True)


def shared_requests_need_http(linted: Linted) -> Iterator[Problem]:
    """Paths, methods and headers stand in requests, and a plain TCP port carries none."""
    for shared in linted.model.shared_services.values():
        spec = shared.spec
        if spec.port.app == "tcp" and (spec.paths or spec.methods or spec.tenant_header):
            message = "`paths`, `methods` and `tenantHeader` need a port that speaks http or grpc"
            remedy = f"write the port as {{number: {spec.port.number}, app: http}}, or delete them"
            yield linted.tell("error", shared, ("spec", "port"), message, remedy)


def remediation_kinds_are_governed(linted: Linted) -> Iterator[Problem]:
    """A misspelt kind would leave the real one in another mode than its author thinks."""
    cluster = linted.model.cluster
    for kind in cluster.spec.remediation.kinds:
        if kind not in governed_kinds():
            path = ("spec", "remediation", "kinds", kind)
            message = f"{kind!r} is no kind that driftd governs"
            yield linted.tell("error", cluster, path, message, closest(kind, governed_kinds()), key=True)


def rule_files_exist(linted: Linted) -> Iterator[Problem]:
    """A ruleset lists files that stand below the model root."""
    for ruleset in linted.model.falco_rulesets.values():
        for index, path in enumerate(ruleset.spec.files):
            if path not in linted.model.falco_files:
                yield linted.tell(
                    "error",
                    ruleset,
                    ("spec", "files", index),
                    f"there is no file {path!r} below the model root",
                    "add the file, or correct the path; it is relative to the model root",
                )


def exemptions_hold(linted: Linted) -> Iterator[Problem]:
    """An exemption that has ended, or that nothing will ever ask for, is clutter that looks like a decision."""
    known = (*governed_kinds(), *TOLD_KINDS)
    for exemption in linted.model.exemptions:
        subject = exemption.spec.object
        if linted.today is not None and exemption.spec.until < linted.today:
            message = f"this exemption ended on {exemption.spec.until.isoformat()} and holds no longer"
            yield linted.tell("warning", exemption, ("spec", "until"), message, "delete it, or have it prolonged")
        if subject.kind not in known and subject.group is None:
            message = f"{subject.kind!r} is no kind that driftd governs or has findings of, and no `group` is said"
            yield linted.tell("warning", exemption, ("spec", "object", "kind"), message, closest(subject.kind, known))
        elif subject.namespace is not None and subject.namespace not in linted.governed:
            message = f"the namespace {subject.namespace!r} is not governed: nothing there is compared"
            remedy = closest(subject.namespace, linted.governed)
            yield linted.tell("warning", exemption, ("spec", "object", "namespace"), message, remedy)


RULES: Sequence[Callable[[Linted], Iterator[Problem]]] = (
    plans_exist,
    api_server_is_known,
    requests_need_a_mesh,
    shared_requests_need_http,
    remediation_kinds_are_governed,
    rule_files_exist,
    exemptions_hold,
)
