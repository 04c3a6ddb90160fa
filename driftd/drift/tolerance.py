"""Which policies of a tenant's own making a plan lets stand, judged by what they do to the flows.

`never` lets none stand. `inertOrTightening` lets stand what opens nothing; `withinEnvironment` also what opens flows
between pods of its own namespace only. What is not known opens something.
"""

from driftd.compile import GovernedNamespace
from driftd.drift.marks import condemned_by, is_of_driftds_making
from driftd.drift.meaning import Difference, Judgement
from driftd.drift.repair import bears_flows
from driftd.values import Direction, FindingType


def depends_on_effect(governed: GovernedNamespace, difference: Difference) -> bool:
    """Whether an object that the model lacks may stand here, depending on what it does.

    What driftd has condemned already is not asked about again: it was emptied, and so looks harmless. What it made
    itself is nobody's own: when the model drops it, it goes.
    """
    return (
        governed.tenant_policies != "never"
        and difference.type is FindingType.UNEXPECTED
        and difference.desired is None
        and difference.live is not None
        and bears_flows(difference.ref)
        and condemned_by(difference.live) is None
        and not is_of_driftds_making(difference.live)
    )


def tolerates(governed: GovernedNamespace, difference: Difference, judgement: Judgement) -> bool:
    """Whether the plan of this namespace lets the object stand."""
    return depends_on_effect(governed, difference) and allows(governed, judgement)


def allows(governed: GovernedNamespace, judgement: Judgement) -> bool:
    """Whether the plan of this namespace lets stand what does this."""
    if governed.tenant_policies == "never":
        return False
    if judgement.direction in (Direction.NEUTRAL, Direction.TIGHTENS):
        return True
    return (
        governed.tenant_policies == "withinEnvironment"
        and judgement.direction is not Direction.UNKNOWN
        and judgement.within == governed.name
    )
