"""The model into exact objects: every governed namespace, layer by layer, nothing about commits, lines or time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from driftd.compile.calico import as_canonical, platform_tier
from driftd.compile.compiled import NOTHING_CLUSTER_WIDE, Compiled, Exempt, GovernedNamespace, Mode
from driftd.compile.coverage import coverage_of
from driftd.compile.edges import Edge, edges_of, ways_of
from driftd.compile.faults import CompileError, problem
from driftd.compile.kubernetes import network_policies
from driftd.compile.ledger import Ledger
from driftd.compile.namespace import namespace_objects
from driftd.compile.shared_services import guards
from driftd.compile.site import Site
from driftd.compile.terms import Terms, terms_of
from driftd.compile.workloads import peers_of, workloads_of
from driftd.model import Environment, Manifest, Model, Plan, Problem, tenant_label
from driftd.policy.kinds import CALICO, MalformedObjectError
from driftd.values import PROVENANCE


def compile_model(model: Model) -> Compiled:
    """The desired state of a model that has passed the linter: pure and deterministic, equal bytes for equal meaning.

    Raises:
        CompileError: objects that cannot be (a manifest with the identity of a compiled object or with a malformed
            spec, a call that leads nowhere), all of them with their places.
    """
    return _Compiler(model).run()


@dataclass(frozen=True, slots=True)
class _Opened:
    """A namespace under construction: what it will be, still without objects, and the objects so far."""

    head: GovernedNamespace
    ledger: Ledger

    def closed(self) -> GovernedNamespace:
        return replace(self.head, objects=self.ledger.objects())


class _Compiler:
    """One run over one model."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.problems: list[Problem] = []
        self.coverage = coverage_of(model)
        self.opened: dict[str, _Opened] = {}
        self.edges: dict[str, tuple[Edge, ...]] = {}
        self.terms: dict[str, Terms] = {name: terms_of(model.cluster, plan) for name, plan in model.plans.items()}
        remediation = model.cluster.spec.remediation
        self.kind_modes: Mapping[str, Mode] = {kind: Mode(mode) for kind, mode in sorted(remediation.kinds.items())}

    def run(self) -> Compiled:
        for name, environment in sorted(self.model.environments.items()):
            self._environment(name, environment)
        for namespace, manifest in sorted(self.model.namespace_manifests().items()):
            if namespace not in self.opened:
                self._open(self._plain_head(namespace, manifest))
        self._guards()
        wide = self._cluster_wide()
        for manifest in self.model.manifests:
            self._manifest(manifest, wide.ledger)
        if self.problems:
            raise CompileError(self.problems)
        spec = self.model.cluster.spec
        return Compiled(
            cluster=self.model.cluster.name,
            dialect=spec.cni.dialect,
            governed={name: self.opened[name].closed() for name in sorted(self.opened)},
            coverage=self.coverage,
            exemptions=_exemptions(self.model),
            mass_objects=spec.remediation.mass_change.objects,
            mass_percent=spec.remediation.mass_change.percent,
            platform=_platform(self.model),
            pod_ranges=tuple(str(one) for one in spec.ranges.pods),
            node_ranges=tuple(str(one) for one in spec.ranges.nodes),
            peers=peers_of(self.model),
            tier=spec.cni.calico.name if wide.head.closed else "",
            cluster_wide=wide.closed() if wide.head.closed else NOTHING_CLUSTER_WIDE,
        )

    def _open(self, head: GovernedNamespace) -> Ledger:
        ledger = Ledger(self.coverage, self.problems)
        self.opened[head.name] = _Opened(head, ledger)
        return ledger

    def _environment(self, name: str, environment: Environment) -> None:
        origin = self.model.origin("Environment", name)
        terms = self.terms.get(environment.spec.plan)
        if terms is None:
            message = f"there is no Plan {environment.spec.plan!r}"
            self.problems.append(problem(origin, "spec.plan", message, "correct the name, or add the document"))
            return
        if (taken := self.opened.get(environment.namespace)) is not None:
            other = taken.head.origin
            message = f"namespace {environment.namespace} already belongs to {other}"
            remedy = "give each environment a namespace of its own"
            self.problems.append(problem(origin, "spec.namespace.name", message, remedy, other.file))
            return
        edges, unresolved = edges_of(self.model, environment)
        ways, unopened = ways_of(self.model, environment)
        self.problems += (*unresolved, *unopened)
        self.edges[name] = edges
        site = Site(self.model.cluster, environment, terms, edges, ways, origin)
        ledger = self._open(self._head(site, terms.plan))
        for body in namespace_objects(site):
            ledger.add(body, origin)
        for body in network_policies(site):
            ledger.add(body, origin)

    def _head(self, site: Site, plan: Plan) -> GovernedNamespace:
        return GovernedNamespace(
            name=site.namespace,
            tenant=site.tenant,
            environment=site.environment.name,
            plan=site.environment.spec.plan,
            lifecycle=site.environment.spec.namespace.lifecycle,
            mode=self._mode(plan.spec.remediation.mode, site.environment.spec.remediation.mode),
            kind_modes=self.kind_modes,
            tenant_policies=plan.spec.tenant_policies,
            closed=True,
            origin=site.origin,
            objects={},
            workloads=workloads_of(site.environment),
        )

    def _plain_head(self, namespace: str, manifest: Manifest) -> GovernedNamespace:
        return GovernedNamespace(
            name=namespace,
            tenant=tenant_label(manifest),
            environment="",
            lifecycle="create",
            mode=self._mode(),
            kind_modes=self.kind_modes,
            tenant_policies="never",
            closed=True,
            origin=manifest.origin,
            objects={},
        )

    def _guards(self) -> None:
        """Policies that guard shared services: named objects in namespaces that stay the platform's."""
        for service, body in guards(self.model, self.edges):
            origin = self.model.origin("SharedService", service.name)
            namespace = service.spec.namespace
            taken = self.opened.get(namespace)
            if taken is not None and taken.head.closed:
                message = f"namespace {namespace} is governed by {taken.head.origin}"
                remedy = "a shared service stands in a namespace of the platform: move it, or use policies: print"
                self.problems.append(problem(origin, "spec.namespace", message, remedy, taken.head.origin.file))
                continue
            if taken is None:
                head = GovernedNamespace(
                    name=namespace,
                    tenant="",
                    environment="",
                    lifecycle="adopt",
                    mode=self._mode(),
                    kind_modes=self.kind_modes,
                    tenant_policies="never",
                    closed=False,
                    origin=origin,
                    objects={},
                )
                self._open(head).add(body, origin)
            else:
                taken.ledger.add(body, origin)

    def _cluster_wide(self) -> _Opened:
        """What stands in no namespace: closed, and so ours, where the network layer has such kinds."""
        cluster = self.model.cluster
        origin = self.model.origin("Cluster", cluster.name)
        calico = cluster.spec.cni.dialect == "calico"
        head = replace(
            NOTHING_CLUSTER_WIDE, mode=self._mode(), kind_modes=self.kind_modes, closed=calico, origin=origin
        )
        opened = _Opened(head, Ledger(self.coverage, self.problems))
        if calico:
            tenants: dict[str, list[str]] = {}
            for one in self.opened.values():
                if one.head.environment:
                    tenants.setdefault(one.head.tenant, []).append(one.head.name)
            for body in platform_tier(cluster, tenants, origin):
                opened.ledger.add(body, origin)
        return opened

    def _manifest(self, manifest: Manifest, wide: Ledger) -> None:
        """A plain manifest, word for word, plus the annotation that says where it comes from."""
        if not manifest.ref.namespace and manifest.ref.kind != "Namespace":
            self._add(manifest, wide)
            return
        namespace = manifest.ref.namespace or manifest.ref.name
        opened = self.opened.get(namespace)
        if opened is None or not opened.head.closed:
            message = f"{manifest.ref} stands in a namespace that the model does not govern"
            remedy = f"add an Environment or a Namespace manifest for {namespace}, or take the manifest out"
            self.problems.append(problem(manifest.origin, "metadata.namespace", message, remedy))
            return
        self._add(manifest, opened.ledger)

    def _add(self, manifest: Manifest, ledger: Ledger) -> None:
        metadata = manifest.body["metadata"]
        annotations = {**(metadata.get("annotations") or {}), PROVENANCE: manifest.origin.provenance}
        body = {**manifest.body, "metadata": {**metadata, "annotations": annotations}}
        try:
            ledger.add(as_canonical(body) if manifest.ref.group == CALICO else body, manifest.origin)
        except MalformedObjectError as fault:
            self.problems.append(problem(manifest.origin, fault.where, str(fault), f"correct {manifest.ref}"))

    def _mode(self, *said: str | None) -> Mode:
        """The cluster's mode unless it, or anything nearer, says report."""
        modes = (self.model.cluster.spec.remediation.mode, *said)
        return Mode.REPORT if "report" in modes else Mode.ENFORCE


def _exemptions(model: Model) -> tuple[Exempt, ...]:
    found = [Exempt(one.ref, one.spec.until, one.spec.owner, one.spec.reason) for one in model.exemptions]
    return tuple(sorted(found, key=lambda one: (one.ref, one.until)))


def _platform(model: Model) -> tuple[str, ...]:
    """Namespaces that belong to no tenant: those the cluster names, and those of shared services."""
    spec = model.cluster.spec
    named = {*spec.platform_namespaces, spec.dns.namespace, spec.gateway.namespace}
    return tuple(sorted(named | {one.spec.namespace for one in model.shared_services.values()}))
