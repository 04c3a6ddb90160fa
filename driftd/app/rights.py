"""Said at start: the rights this login lacks, those it has that driftd must not have, and the policies that hold it."""

import structlog

from driftd.cluster import WORKLOADS, ClusterError, Right, Rights, Session, guards, watching, writing
from driftd.policy.kinds import KINDS, Kind, World

ADMISSION = "deploy/manifests/admission.yaml"

_log = structlog.get_logger()


async def warn_of_rights(session: Session) -> None:
    """Ask the API server what this login may do, and log what differs from the least that works."""
    rights = Rights(session)
    every = [kind for kind in KINDS.values() if not kind.dialect]
    needed = [right for kind in every for right in watching(kind.resource)]
    needed += [right for resource in WORKLOADS for right in watching(resource)]
    needed += [right for kind in every for right in writing(kind.resource) if _is_written(kind, right)]
    try:
        for right in await rights.missing(needed):
            _log.error("rights.missing", right=str(right), remedy="apply deploy/manifests/rbac.yaml")
        for right in await rights.excess():
            _log.warning("rights.too_many", right=str(right), remedy="run driftd as its own ServiceAccount")
    except ClusterError as error:
        _log.warning("rights.unknown", why=str(error))


async def warn_of_guards(session: Session, namespace: str) -> None:
    """Log which of the two admission policies does not hold this login.

    Without the fence a leader that was replaced is held by nothing but its own clock (the deadline that each write
    checks), and by the uid and resourceVersion its writes carry.
    """
    for guard in await guards(session, namespace):
        if guard.holds is False:
            _log.error("guard.missing", policy=guard.policy, why=guard.why, remedy=f"apply {ADMISSION}")
        elif guard.holds is None:
            _log.warning("guard.unknown", policy=guard.policy, why=guard.why)


def _is_written(kind: Kind, right: Right) -> bool:
    return kind.world is World.CLOSED or right.verb != "delete"
