"""Who can reach whom under Kubernetes, Calico and admin policies: exact answers, deltas, explanations, judgements."""

from driftd.policy.reach.addresses import Ranges, block, blocks, of_ranges
from driftd.policy.reach.admin_policy import namespace_keys
from driftd.policy.reach.calico_scope import homes_of, may_mean, may_select, meant, services_of
from driftd.policy.reach.calico_selectors import calico_selector
from driftd.policy.reach.delta import Delta, DifferentDialects, delta
from driftd.policy.reach.dialects import Answer, Dialect
from driftd.policy.reach.edits import align, apply, snapshot_of
from driftd.policy.reach.endpoints import Surroundings
from driftd.policy.reach.explain import Connection, Explanation, Side, Step, explain, open_connections
from driftd.policy.reach.flows import Flows, Rectangle, Tenancy
from driftd.policy.reach.future import imagine
from driftd.policy.reach.judge import Judgement, judge
from driftd.policy.reach.matrix import Cell, External, Grouping, Matrix, matrix
from driftd.policy.reach.pods import MalformedPod, Pod, pod_from_body, pods_from_workload
from driftd.policy.reach.policies import Flow
from driftd.policy.reach.ports import ALL, NONE, PORTED, PortSet
from driftd.policy.reach.ports import ports as port_set
from driftd.policy.reach.selectors import MalformedSelector, keys_of
from driftd.policy.reach.snapshot import Edit, Reach, Snapshot, UnknownEndpoint

__all__ = [
    "ALL",
    "NONE",
    "PORTED",
    "Answer",
    "Cell",
    "Connection",
    "Delta",
    "Dialect",
    "DifferentDialects",
    "Edit",
    "Explanation",
    "External",
    "Flow",
    "Flows",
    "Grouping",
    "Judgement",
    "MalformedPod",
    "MalformedSelector",
    "Matrix",
    "Pod",
    "PortSet",
    "Ranges",
    "Reach",
    "Rectangle",
    "Side",
    "Snapshot",
    "Step",
    "Surroundings",
    "Tenancy",
    "UnknownEndpoint",
    "align",
    "apply",
    "block",
    "blocks",
    "calico_selector",
    "delta",
    "explain",
    "homes_of",
    "imagine",
    "judge",
    "keys_of",
    "matrix",
    "may_mean",
    "may_select",
    "meant",
    "namespace_keys",
    "of_ranges",
    "open_connections",
    "pod_from_body",
    "pods_from_workload",
    "port_set",
    "services_of",
    "snapshot_of",
]
