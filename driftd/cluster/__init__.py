"""The only room that talks to the Kubernetes API: session, discovery, reflectors, mirror, writer, lease."""

from driftd.cluster.answers import Answer
from driftd.cluster.credentials import Credentials, InCluster, Kubeconfig, default_credentials
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
    "Fence",
    "FenceState",
    "Forbidden",
    "Gone",
    "InCluster",
    "Invalid",
    "KindNotServed",
    "KindNotWatched",
    "Kubeconfig",
    "Mirror",
    "NamespaceDeletion",
    "NotFound",
    "Pace",
    "Reflector",
    "ReflectorCounts",
    "ReflectorSettings",
    "Response",
    "ServerFault",
    "Session",
    "Timeouts",
    "TooManyRequests",
    "Truth",
    "Unauthorized",
    "Unreachable",
    "Writer",
    "default_credentials",
]
