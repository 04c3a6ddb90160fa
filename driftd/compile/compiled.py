"""What compiling yields: the exact objects that each governed scope must hold, and how far driftd may go there."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from driftd.compile.workloads import Workload
from driftd.policy.kinds import Coverage
from driftd.values import Desired, ObjectRef, Origin, Scope


class Mode(StrEnum):
    """Whether drift is only told or also repaired. Wherever two places speak, REPORT wins."""

    REPORT = "report"
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True)
class GovernedNamespace:
    """One scope that the model governs, with every object it must hold: a namespace, or without a name the cluster.

    `environment` is empty where a plain Namespace manifest governs. `closed` is False where only the named objects are
    ours (a SharedService with `policies: write`): nothing else there is drift, and `tenant` is empty. `objects` is in
    the order of creation. `workloads` are the pods that the model knows here, where there is an environment: any other
    pod is entitled to nothing.
    """

    name: str
    tenant: str
    environment: str
    lifecycle: Literal["create", "adopt"]
    mode: Mode
    kind_modes: Mapping[str, Mode]
    tenant_policies: Literal["never", "inertOrTightening", "withinEnvironment"]
    closed: bool
    origin: Origin
    objects: Mapping[ObjectRef, Desired]
    workloads: tuple[Workload, ...] = ()
    plan: str = ""

    @property
    def scope(self) -> Scope:
        return Scope(self.name)

    def mode_of(self, kind: str) -> Mode:
        """The mode for objects of a kind here: what was said of the kind, unless the namespace reports anyway."""
        if self.mode is Mode.REPORT:
            return Mode.REPORT
        return self.kind_modes.get(kind, self.mode)


NOTHING_CLUSTER_WIDE = GovernedNamespace(
    name="",
    tenant="",
    environment="",
    lifecycle="adopt",
    mode=Mode.REPORT,
    kind_modes={},
    tenant_policies="never",
    closed=False,
    origin=Origin("", 0, "Cluster"),
    objects={},
)
"""The cluster scope of a model that names nothing there: kinds that bear policy are still seen."""


@dataclass(frozen=True, slots=True)
class Exempt:
    """One object that may differ from the model through the day `until`."""

    ref: ObjectRef
    until: dt.date
    owner: str
    reason: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """The whole desired state. `governed` is by namespace name, sorted; the model's order leaves no trace in it.

    `cluster_wide` are the objects without a namespace (Namespaces stand in their own scope); `tier` is the platform's
    own, where Calico rules: in it the model names every global policy.
    `platform` are namespaces of nobody's tenant; `pod_ranges` and `node_ranges` are the cluster's CIDRs; `peers` are
    the workloads that the model names outside of governed namespaces: who judges reachability needs them.
    """

    cluster: str
    dialect: str
    governed: Mapping[str, GovernedNamespace]
    coverage: Coverage
    exemptions: tuple[Exempt, ...]
    mass_objects: int
    mass_percent: int
    platform: tuple[str, ...] = ()
    pod_ranges: tuple[str, ...] = ()
    node_ranges: tuple[str, ...] = ()
    peers: Mapping[str, tuple[Workload, ...]] = field(default_factory=dict)
    tier: str = ""
    cluster_wide: GovernedNamespace = NOTHING_CLUSTER_WIDE

    def every_scope(self) -> Iterator[GovernedNamespace]:
        """All governed scopes: the cluster's own, which others may build upon, then the namespaces in their order."""
        yield self.cluster_wide
        yield from self.governed.values()
