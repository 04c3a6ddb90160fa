"""Events for the people of a namespace: what was done to their object, why, and how to ask for something else."""

from driftd.cluster import EventRecorder, Notice
from driftd.policy.kinds import KINDS
from driftd.values import Condemn, Create, Live, Replace, Write


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


class Teller:
    """Hands the notices of writes to the event recorder."""

    def __init__(self, recorder: EventRecorder) -> None:
        self._recorder = recorder

    def told(self, write: Write, live: Live | None) -> None:
        notice = notice_of(write, live)
        if notice is not None:
            self._recorder.tell(notice)
