"""Events for the people of a namespace: what was done to their object, why, and how to ask for something else."""

from driftd.cluster import EventRecorder, Notice
from driftd.policy.kinds import KINDS
from driftd.values import Condemn, Create, Finding, FindingType, Live, Replace, Resource, Write


def notice_of(write: Write, live: Live | None) -> Notice | None:
    """The event for a write that was done; None for the steps on the way and for what is told already.

    It speaks of this one object and of the model file it comes from: never of another tenant.
    """
    kind = KINDS.get((write.ref.group, write.ref.kind))
    if kind is None:
        return None
    match write:
        case Create(interim=False):
            reason, action, ask = "Restored", "create", "to change it, change the model"
        case Replace(interim=False):
            reason, action, ask = "Repaired", "replace", "to change it, change the model"
        case Condemn():
            reason, action = "Removed", "delete"
            ask = "to keep such an object, have it added to the model, or an Exemption for it"
        case _:
            return None
    uid = live.uid if live is not None else ""
    note = f"driftd did this: {write.reason}; {ask}"
    return Notice(kind.resource, write.ref, uid, warning=False, reason=reason, action=action, note=note)


_FOUND = {
    FindingType.RELABELLED: ("ReachDiffers", "labels, service account or port names here are not what the model says"),
    FindingType.EXPOSED: ("Exposed", "the model lets the world in through the gateway only"),
    FindingType.MISDIRECTED: ("Misdirected", "who stands behind the Service is not whom it selects"),
}


def notice_of_finding(finding: Finding) -> Notice | None:
    """The event for what driftd finds and does not write; never a word of who else is concerned."""
    said = _FOUND.get(finding.type)
    if said is None:
        return None
    reason, what = said
    effect = "opens flows that the model does not have" if finding.direction.may_loosen else "closes flows of the model"
    ref = finding.ref
    note = f"{what}; this {effect}. driftd does not write it: put it right, or change the model (finding {finding.id})"
    resource = Resource(ref.group, "v1", ref.kind, "")
    return Notice(resource, ref, "", warning=True, reason=reason, action="report", note=note)


class Teller:
    """Hands the notices of writes, and of findings that nobody repairs, to the event recorder."""

    def __init__(self, recorder: EventRecorder) -> None:
        self._recorder = recorder

    def told(self, write: Write, live: Live | None) -> None:
        notice = notice_of(write, live)
        if notice is not None:
            self._recorder.tell(notice)

    def found(self, finding: Finding) -> None:
        """A finding that stands: whoever looks at the object shall see it."""
        notice = notice_of_finding(finding)
        if notice is not None:
            self._recorder.tell(notice)
