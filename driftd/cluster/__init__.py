"""The only room that talks to the Kubernetes API: session, discovery, reflectors, mirror, writer, lease."""

from driftd.cluster.answers import Answer
from driftd.cluster.audit import Audited, Auditor, Divergence, Gap, RollingCheck
from driftd.cluster.budget import completed
from driftd.cluster.canary import HARMLESS, Beat, Canary
from driftd.cluster.credentials import Credentials, InCluster, Kubeconfig, default_credentials, in_a_pod
from driftd.cluster.discovery import Discovery, Interest, Served
from driftd.cluster.elector import Elector, LeaseSettings, NotLeading, Term, WorkOutlivedLease
from driftd.cluster.epoch_parameter import EpochParameter
from driftd.cluster.errors import (
    ApiError,
    BadAnswer,
    ClusterError,
    Conflict,
    CredentialsUnusable,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    ServerFault,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from driftd.cluster.events import EventRecorder, Notice
from driftd.cluster.fence import Fence, FenceState
from driftd.cluster.guards import BOUNDS_POLICY, DRY_RUN, FENCE_POLICY, Guard, guards
from driftd.cluster.lease import CHAIN_HEAD, COMMIT
from driftd.cluster.mirror import KindNotWatched, Mirror
from driftd.cluster.pace import Backoff, Pace
from driftd.cluster.reducing import POD, SERVICE, SLICE, WORKLOADS
from driftd.cluster.reflector import Reflector, ReflectorCounts, ReflectorSettings
from driftd.cluster.rights import TOO_MUCH, Right, Rights, watching, writing
from driftd.cluster.session import Response, Session, Timeouts
from driftd.cluster.truth import KindNotServed, Truth
from driftd.cluster.watchers import Watchers
from driftd.cluster.wire import ObjectReader
from driftd.cluster.workloads import Name, News, WorkloadMirror, WorkloadWatchers
from driftd.cluster.writer import FIELD_MANAGER, NamespaceDeletion, Writer

__all__ = [
    "BOUNDS_POLICY",
    "CHAIN_HEAD",
    "COMMIT",
    "DRY_RUN",
    "FENCE_POLICY",
    "FIELD_MANAGER",
    "HARMLESS",
    "POD",
    "SERVICE",
    "SLICE",
    "TOO_MUCH",
    "WORKLOADS",
    "Answer",
    "ApiError",
    "Audited",
    "Auditor",
    "Backoff",
    "BadAnswer",
    "Beat",
    "Canary",
    "ClusterError",
    "Conflict",
    "Credentials",
    "CredentialsUnusable",
    "Discovery",
    "Divergence",
    "Elector",
    "EpochParameter",
    "EventRecorder",
    "Fence",
    "FenceState",
    "Forbidden",
    "Gap",
    "Gone",
    "Guard",
    "InCluster",
    "Interest",
    "Invalid",
    "KindNotServed",
    "KindNotWatched",
    "Kubeconfig",
    "LeaseSettings",
    "Mirror",
    "Name",
    "NamespaceDeletion",
    "News",
    "NotFound",
    "NotLeading",
    "Notice",
    "ObjectReader",
    "Pace",
    "Reflector",
    "ReflectorCounts",
    "ReflectorSettings",
    "Response",
    "Right",
    "Rights",
    "RollingCheck",
    "Served",
    "ServerFault",
    "Session",
    "Term",
    "Timeouts",
    "TooManyRequests",
    "Truth",
    "Unauthorized",
    "Unreachable",
    "Watchers",
    "WorkOutlivedLease",
    "WorkloadMirror",
    "WorkloadWatchers",
    "Writer",
    "completed",
    "default_credentials",
    "guards",
    "in_a_pod",
    "watching",
    "writing",
]
