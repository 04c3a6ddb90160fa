"""Whether the two shipped admission policies hold this login, and where: proved by dry runs that they must refuse.

That a policy exists proves little: its binding, its parameter or the user name in it may be wrong, and an API server
may hold a parameter that is long over: where the last binding with a ConfigMap as parameter was deleted, and one was
made again, it follows none until it is started anew (kubernetes/kubernetes#130887). So it is asked for the epoch just
below the one that rules. A dry run goes through admission and stores nothing: harmless where nobody refuses.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

import orjson

from driftd.cluster.canary import HARMLESS
from driftd.cluster.epoch_parameter import EpochParameter
from driftd.cluster.errors import ClusterError, Forbidden, Invalid, NotFound
from driftd.cluster.session import Session
from driftd.values import EPOCH, Body

FENCE_POLICY: Final = "driftd-fence"
BOUNDS_POLICY: Final = "driftd-bounds"
DRY_RUN: Final = "driftd-dry-run"
"""The name of what is only tried, in driftd's own namespace: the bounds let dry runs of governed kinds have it."""
_LAG: Final = 1.0
"""Seconds in which an API server, which follows its parameter by a watch, has learnt of a raised epoch."""
_NAMESPACES: Final = 32
"""Of so many namespaces of the platform it is tried whether they are protected."""
_ANY_EPOCH: Final = "9" * 18
"""An epoch that no fence refuses, whatever rules: what is asked is whether the bounds do."""
_APPLY: Final = "apply deploy/manifests/admission.yaml, which holds driftd's own ServiceAccount and no other login"
_ANEW: Final = (
    "start every API server anew: one that saw its binding go follows it no more (kubernetes/kubernetes#130887)"
)
_ASK_AGAIN: Final = "see to what it says, and run `driftd doctor` again"


@dataclass(frozen=True, slots=True)
class Guard:
    """One policy: `holds` is None where the answer told neither; `why` and `remedy`, where there is one, for people."""

    policy: str
    holds: bool | None
    why: str
    remedy: str = ""


def refused_by(policy: str, error: ClusterError) -> bool:
    """Whether an admission policy of this name said no."""
    return isinstance(error, Forbidden | Invalid) and f"ValidatingAdmissionPolicy '{policy}'" in error.said.message


async def guards(
    session: Session,
    namespace: str,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    platform: Iterable[str] = (),
) -> tuple[Guard, ...]:
    """The fence and the bounds, as they treat the login in use. Never raises for what a cluster may answer.

    A fence that lets in is asked once more: the epoch may have been raised a moment ago. Where nobody says which epoch
    rules, it is asked for 0, which no term ever had: one that refuses only that may stand still, so nothing is known.

    Bounds that hold are tried in the namespaces of `platform`, too: a third answer, about those of them that exist.
    """
    bounded = f"/api/v1/namespaces/{namespace}/configmaps"
    stray: Body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": DRY_RUN, "namespace": namespace}}
    fence = await _fence(session, namespace, sleep)
    bounds = await _tried(session, BOUNDS_POLICY, bounded, stray, "a foreign ConfigMap")
    beyond = await _protection(session, platform) if bounds.holds else None
    return (fence, bounds) if beyond is None else (fence, bounds, beyond)


async def _fence(session: Session, namespace: str, sleep: Callable[[float], Awaitable[None]]) -> Guard:
    former, unknown = 0, ""
    try:
        former = max(0, await EpochParameter(session, namespace).ruling() - 1)
    except ClusterError as error:
        unknown = str(error)
    stale, what = _policy(namespace, str(former)), f"a write of epoch {former}"
    fence = await _tried(session, FENCE_POLICY, _policies(namespace), stale, what)
    if fence.holds is False:
        await sleep(_LAG)
        fence = await _tried(session, FENCE_POLICY, _policies(namespace), stale, what)
    if fence.holds and unknown:
        return Guard(FENCE_POLICY, holds=None, why=unknown, remedy=_ASK_AGAIN)
    if fence.holds is False:
        unmarked = await _refusal(session, _policies(namespace), _policy(namespace, ""))
        if unmarked is not None and refused_by(FENCE_POLICY, unmarked):
            return replace(fence, remedy=f"it is there and stands still at a former epoch; {_ANEW}")
        return replace(fence, remedy=f"{_APPLY}; where it is there, {_ANEW}")
    return fence


async def _protection(session: Session, platform: Iterable[str]) -> Guard | None:
    """Whether the bounds keep driftd out of these namespaces; None where none of them exists."""
    named = sorted(platform)
    lets_in: list[str] = []
    unknown, refused = "", 0
    for namespace in named[:_NAMESPACES]:
        error = await _refusal(session, _policies(namespace), _policy(namespace, _ANY_EPOCH))
        if error is None:
            lets_in.append(namespace)
        elif refused_by(BOUNDS_POLICY, error):
            refused += 1
        elif not _is_absent(error):
            unknown = unknown or str(error)
    rest = f"; {len(named) - _NAMESPACES} more were not tried" if len(named) > _NAMESPACES else ""
    if lets_in:
        names = ", ".join(lets_in)
        remedy = f"add to protectedNamespaces of the chart's values: {names}"
        return Guard(BOUNDS_POLICY, holds=False, why=f"a write into {names} would be let in{rest}", remedy=remedy)
    if unknown:
        return Guard(BOUNDS_POLICY, holds=None, why=unknown, remedy=_ASK_AGAIN)
    what = f"a write into {refused} namespaces of the platform is refused{rest}"
    return Guard(BOUNDS_POLICY, holds=True, why=what) if refused else None


def _is_absent(error: ClusterError) -> bool:
    return isinstance(error, NotFound) or (isinstance(error, Forbidden) and "NamespaceTerminating" in error.said.causes)


def _policies(namespace: str) -> str:
    return f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"


def _policy(namespace: str, epoch: str) -> Body:
    """A policy that concerns nobody, under that epoch, or under none."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": DRY_RUN, "namespace": namespace, "annotations": {EPOCH: epoch} if epoch else {}},
        **HARMLESS["NetworkPolicy"],
    }


async def _tried(session: Session, policy: str, path: str, body: Body, what: str) -> Guard:
    error = await _refusal(session, path, body)
    if error is None:
        return Guard(policy, holds=False, why=f"{what} would be let in", remedy=_APPLY)
    if refused_by(policy, error):
        return Guard(policy, holds=True, why=f"{what} is refused")
    return Guard(policy, holds=None, why=str(error), remedy=_ASK_AGAIN)


async def _refusal(session: Session, path: str, body: Body) -> ClusterError | None:
    """What is said against a create that is only tried."""
    try:
        await session.request("POST", path, query={"dryRun": "All"}, body=orjson.dumps(body))
    except ClusterError as error:
        return error
    return None
