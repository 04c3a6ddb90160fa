"""Said at start: the rights this login lacks, and those it has that driftd must not have."""

import structlog

from driftd.cluster import ClusterError, Right, Rights, Session, watching, writing
from driftd.engine import GOVERNED
from driftd.policy.kinds import KINDS, Kind, World

_log = structlog.get_logger()


async def warn_of_rights(session: Session) -> None:
    """Ask the API server what this login may do, and log what differs from the least that works."""
    rights = Rights(session)
    needed = [right for one in GOVERNED for right in watching(one)]
    needed += [right for kind in KINDS.values() for right in writing(kind.resource) if _is_written(kind, right)]
    try:
        for right in await rights.missing(needed):
            _log.error("rights.missing", right=str(right), remedy="apply deploy/manifests/rbac.yaml")
        for right in await rights.excess():
            _log.warning("rights.too_many", right=str(right), remedy="run driftd as its own ServiceAccount")
    except ClusterError as error:
        _log.warning("rights.unknown", why=str(error))


def _is_written(kind: Kind, right: Right) -> bool:
    return kind.world is World.CLOSED or right.verb != "delete"
