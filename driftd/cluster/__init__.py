"""The only room that talks to the Kubernetes API: session, discovery, reflectors, mirror, writer, lease."""

from driftd.cluster.answers import Answer
from driftd.cluster.credentials import Credentials, InCluster, Kubeconfig, default_credentials
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
from driftd.cluster.fence import Fence, FenceState
from driftd.cluster.mirror import KindNotWatched, Mirror
from driftd.cluster.pace import Backoff, Pace
from driftd.cluster.reflector import Reflector, ReflectorCounts, ReflectorSettings
from driftd.cluster.session import Response, Session, Timeouts
from driftd.cluster.truth import KindNotServed, Truth
from driftd.cluster.writer import FIELD_MANAGER, NamespaceDeletion, Writer

__all__ = [
    "FIELD_MANAGER",
    "Answer",
    "ApiError",
    "Backoff",
    "BadAnswer",
    "ClusterError",
    "Conflict",
    "Credentials",
    "CredentialsUnusable",
    "Elector",
    "EpochParameter",
    "Fence",
    "FenceState",
    "Forbidden",
    "Gone",
    "InCluster",
    "Invalid",
    "KindNotServed",
    "KindNotWatched",
    "Kubeconfig",
    "LeaseSettings",
    "Mirror",
    "NamespaceDeletion",
    "NotFound",
    "NotLeading",
    "Pace",
    "Reflector",
    "ReflectorCounts",
    "ReflectorSettings",
    "Response",
    "ServerFault",
    "Session",
    "Term",
    "Timeouts",
    "TooManyRequests",
    "Truth",
    "Unauthorized",
    "Unreachable",
    "WorkOutlivedLease",
    "Writer",
    "default_credentials",
]
