"""What is kept of one pod, Service or EndpointSlice: the little of it that decides who can reach whom.

Labels, accounts and ports that many pods share are stored once.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

from driftd.drift import LiveService, LiveSlice, service_from_body, slice_from_body
from driftd.policy.reach import Pod, pod_from_body
from driftd.values import Body, Resource

POD: Final = Resource("", "v1", "Pod", "pods")
SERVICE: Final = Resource("", "v1", "Service", "services")
SLICE: Final = Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
WORKLOADS: Final = (POD, SERVICE, SLICE)

_MOST_LABELS: Final = 16 * 1024
_MOST_PORTS: Final = 64
"""Characters of labels, and named ports, of one pod. An object may be megabytes of them, which nobody needs; such a pod
is taken for one that no policy governs, so that it is told and not overlooked."""
_SHARED_LABELS: Final = 32
_SHARED_CHARACTERS: Final = 2048
_SHARED_PORTS: Final = 16
"""Labels, their characters, and ports of which one value is kept for all pods of a template; with more each pod has its
own, for what is shared is remembered for a while after its pods."""
_REMEMBERED: Final = 1024
"""So many of each. With the bounds above that is 12 MiB of labels at the very worst, whoever makes pods and deletes
them again; of usual pods it is well under one."""

Value: TypeAlias = Pod | LiveService | LiveSlice
_Part = TypeVar("_Part", bound=tuple[object, ...])


def reduced(resource: Resource, body: Body) -> Value | None:
    """What is kept of an object; None of a pod that is over, which is no endpoint and has no address any more."""
    if resource is SERVICE:
        return service_from_body(body)
    if resource is SLICE:
        return slice_from_body(body)
    pod = pod_from_body(body)
    if pod.finished:
        return None
    if _characters(pod.labels.items()) > _MOST_LABELS or len(pod.ports) > _MOST_PORTS:
        pod = replace(pod, labels={}, ports=(), host_network=True)
    return replace(
        pod,
        namespace=sys.intern(pod.namespace),
        labels=_few_labels(tuple(sorted(pod.labels.items()))),
        service_account=sys.intern(pod.service_account),
        ports=_one_for_all(pod.ports) if len(pod.ports) <= _SHARED_PORTS else pod.ports,
        owner=sys.intern(pod.owner),
        node_ips=_one_for_all(pod.node_ips),
    )


def _few_labels(pairs: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    if len(pairs) <= _SHARED_LABELS and _characters(pairs) <= _SHARED_CHARACTERS:
        return _shared_labels(pairs)
    return MappingProxyType(dict(pairs))


def _characters(pairs: Iterable[tuple[str, str]]) -> int:
    return sum(len(key) + len(value) for key, value in pairs)


@lru_cache(maxsize=_REMEMBERED)
def _shared_labels(pairs: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """One mapping for all pods that a template made."""
    return MappingProxyType(dict(pairs))


@lru_cache(maxsize=_REMEMBERED)
def _one_for_all(value: _Part) -> _Part:
    return value
