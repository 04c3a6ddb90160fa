"""Said of this login: the rights it lacks, those it has that driftd must not have, and the policies that hold it."""

from dataclasses import replace

import structlog

from driftd.cluster import (
    FENCE_POLICY,
    WORKLOADS,
    ClusterError,
    Pace,
    Right,
    Rights,
    Session,
    guards,
    watching,
    writing,
)
from driftd.compile import Compiled
from driftd.policy.kinds import ALIASES, KINDS, World
from driftd.values import Resource

RBAC = "deploy/manifests/rbac.yaml"
_log = structlog.get_logger()


def needed_rights(namespace: str, lease: str, dialect: str) -> tuple[Right, ...]:
    """Every right that the daemon uses: for Kubernetes' own kinds, those of `dialect`, and in its own namespace.

    The chart's golden list grants these; besides only the reading of policy kinds that nobody here understands, and
    what Calico's API server asks for behind a policy of a tier.
    """
    needed = [right for resource in WORKLOADS for right in watching(resource)]
    needed += watching(Resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions"))
    needed.append(Right("create", "events.k8s.io", "events"))
    needed.append(Right("create", "authentication.k8s.io", "tokenreviews"))
    needed.append(Right("create", "authorization.k8s.io", "subjectaccessreviews"))
    for kind in KINDS.values():
        if kind.dialect not in ("", dialect):
            continue
        aliases = [alias for alias, group in ALIASES.items() if group == kind.resource.group]
        for group in (kind.resource.group, *aliases):
            served = replace(kind.resource, group=group)
            needed += watching(served)
            needed += [right for right in writing(served) if kind.world is World.CLOSED or right.verb != "delete"]
    for group, resource, name in (("coordination.k8s.io", "leases", lease), ("", "configmaps", FENCE_POLICY)):
        needed.append(Right("create", group, resource, namespace=namespace))
        needed += [Right(verb, group, resource, namespace=namespace, name=name) for verb in ("get", "update")]
    return tuple(needed)


async def warn_of_rights(session: Session, namespace: str, lease: str) -> None:
    """Ask the API server what this login may do, and log what differs from the least that works."""
    rights = Rights(session)
    try:
        for right in await rights.missing(needed_rights(namespace, lease, "")):
            _log.error("rights.missing", right=str(right), remedy=f"apply {RBAC}")
        for right in await rights.excess():
            _log.warning("rights.too_many", right=str(right), remedy="run driftd as its own ServiceAccount")
    except ClusterError as error:
        _log.warning("rights.unknown", why=str(error))


def kept_out_of(model: Compiled, namespace: str) -> tuple[str, ...]:
    """Namespaces of the platform into which the model has nothing written; `namespace` is driftd's own."""
    return tuple(one for one in model.platform if one != namespace and one not in model.governed)


async def warn_of_guards(session: Session, namespace: str, pace: Pace, model: Compiled | None) -> None:
    """Log which of the two admission policies does not hold this login, and where the bounds do not.

    To be asked at each beginning of a term: a fence that stands still refuses what is below the epoch it has, and lets
    in what is below the ruling one only once a term has raised that. Without the fence a leader that was replaced is
    held by nothing but its own clock (the deadline that each write checks), and by the uid and resourceVersion its
    writes carry.
    """
    platform = kept_out_of(model, namespace) if model is not None else ()
    for guard in await guards(session, namespace, pace.sleep, platform):
        if guard.holds is False:
            _log.error("guard.missing", policy=guard.policy, why=guard.why, remedy=guard.remedy)
        elif guard.holds is None:
            _log.warning("guard.unknown", policy=guard.policy, why=guard.why)
