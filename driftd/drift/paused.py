"""The finding that somebody has paused the repairs of a namespace: as visible as what it lets stand."""

from datetime import datetime

from driftd.compile import Compiled, GovernedNamespace
from driftd.drift.findings import finding_id
from driftd.drift.words import shown
from driftd.values import Claim, Direction, Finding, FindingType, ObjectRef, Scope, Severity


def paused(governed: GovernedNamespace, compiled: Compiled, by: str, until: datetime, reason: str) -> Finding:
    """Open for as long as the pause lasts. It opens nothing by itself: what differs meanwhile is told beside it."""
    home = ObjectRef("", "Namespace", "", governed.name)
    return Finding(
        id=finding_id(compiled.cluster, FindingType.PAUSED, home),
        type=FindingType.PAUSED,
        ref=home,
        scope=Scope(governed.name),
        tenant=governed.tenant,
        direction=Direction.NEUTRAL,
        severity=Severity.LOW,
        summary=(
            f"repairs in {governed.name} are paused until {until:%Y-%m-%d %H:%M:%S} UTC by {shown(by, 128)}: "
            f"{shown(reason)}; what differs there is told and left as it is"
        ),
        origin=governed.origin,
        claimed_by=Claim(who=shown(by, 128), source="driftd", at=""),
        dialect=compiled.dialect,
    )
