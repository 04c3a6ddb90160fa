"""Whether the two shipped admission policies hold this login: proved by dry runs that they must refuse.

That a policy exists proves little: its binding, its parameter or the user name in it may be wrong, and an API server
may hold a parameter that is long over: where the last binding with a ConfigMap as parameter was deleted, and one was
made again, it follows none until it is started anew (kubernetes/kubernetes#130887). So it is asked for the epoch just
below the one that rules. A dry run goes through admission and stores nothing: harmless where nobody refuses.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import orjson

from driftd.cluster.canary import HARMLESS
from driftd.cluster.epoch_parameter import EpochParameter
from driftd.cluster.errors import ClusterError, Forbidden, Invalid
from driftd.cluster.session import Session
from driftd.values import EPOCH, Body

FENCE_POLICY: Final = "driftd-fence"
BOUNDS_POLICY: Final = "driftd-bounds"
DRY_RUN: Final = "driftd-dry-run"
"""The name of what is only tried, in driftd's own namespace: the bounds let dry runs of governed kinds have it."""
_LAG: Final = 1.0
"""Seconds in which an API server, which follows its parameter by a watch, has learnt of a raised epoch."""


@dataclass(frozen=True, slots=True)
class Guard:
    """One policy: `holds` is None where the answer told neither; `why` is for people."""

    policy: str
    holds: bool | None
    why: str


def refused_by(policy: str, error: ClusterError) -> bool:
    """Whether an admission policy of this name said no."""
    return isinstance(error, Forbidden | Invalid) and f"ValidatingAdmissionPolicy '{policy}'" in error.said.message


async def guards(
    session: Session, namespace: str, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> tuple[Guard, Guard]:
    """The fence and the bounds, as they treat the login in use. Never raises for what a cluster may answer.

    A fence that lets in is asked once more: the epoch may have been raised a moment ago. Where nobody says which epoch
    rules, it is asked for 0, which no term ever had: one that refuses only that may stand still, so nothing is known.
    """
    fenced = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    bounded = f"/api/v1/namespaces/{namespace}/configmaps"
    former, unknown = 0, ""
    try:
        former = max(0, await EpochParameter(session, namespace).ruling() - 1)
    except ClusterError as error:
        unknown = str(error)
    nobody = {"name": DRY_RUN, "namespace": namespace, "annotations": {EPOCH: str(former)}}
    stale: Body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": nobody,
        **HARMLESS["NetworkPolicy"],
    }
    stray: Body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": DRY_RUN, "namespace": namespace}}
    fence = await _tried(session, FENCE_POLICY, fenced, stale, f"a write of epoch {former}")
    if fence.holds is False:
        await sleep(_LAG)
        fence = await _tried(session, FENCE_POLICY, fenced, stale, f"a write of epoch {former}")
    if fence.holds and unknown:
        fence = Guard(FENCE_POLICY, holds=None, why=unknown)
    return fence, await _tried(session, BOUNDS_POLICY, bounded, stray, "a foreign ConfigMap")


async def _tried(session: Session, policy: str, path: str, body: Body, what: str) -> Guard:
    try:
        await session.request("POST", path, query={"dryRun": "All"}, body=orjson.dumps(body))
    except ClusterError as error:
        if refused_by(policy, error):
            return Guard(policy, holds=True, why=f"{what} is refused")
        return Guard(policy, holds=None, why=str(error))
    return Guard(policy, holds=False, why=f"{what} would be let in")
