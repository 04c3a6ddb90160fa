"""The loop: dirty scope, observe, compare, judge, act, verify, record."""

from driftd.engine.act import Actor
from driftd.engine.admins import LiveAdmins
from driftd.engine.approvals import Approvals, NotApprovable, NotHeld
from driftd.engine.audit_loop import AuditLoop
from driftd.engine.candidate import Candidate, ReadModel, candidate_of, read_here
from driftd.engine.compiled_cache import CompiledCache
from driftd.engine.cycle import Cycle
from driftd.engine.inforce import NEW_MODEL, InForce, changed_scopes, is_spare
from driftd.engine.leadership import Leadership, last_epoch
from driftd.engine.learn import Defaults
from driftd.engine.loop import ScopeLoop
from driftd.engine.meaning import Meaning
from driftd.engine.model_loop import ModelLoop
from driftd.engine.namespaces import KnownNamespaces
from driftd.engine.observe import Observer
from driftd.engine.open_findings import OpenFindings
from driftd.engine.orphans import NotOrphaned
from driftd.engine.pauses import LONGEST, NotPaused, Pause, PausedTooMuch, Pauses, PauseTooLong
from driftd.engine.pending import pending
from driftd.engine.recording import Recording
from driftd.engine.setbacks import Setbacks
from driftd.engine.stopped import StoppedKinds
from driftd.engine.tell import Teller
from driftd.engine.watching import Watching
from driftd.engine.workloads import WorkloadDrift

__all__ = [
    "LONGEST",
    "NEW_MODEL",
    "Actor",
    "Approvals",
    "AuditLoop",
    "Candidate",
    "CompiledCache",
    "Cycle",
    "Defaults",
    "InForce",
    "KnownNamespaces",
    "Leadership",
    "LiveAdmins",
    "Meaning",
    "ModelLoop",
    "NotApprovable",
    "NotHeld",
    "NotOrphaned",
    "NotPaused",
    "Observer",
    "OpenFindings",
    "Pause",
    "PauseTooLong",
    "PausedTooMuch",
    "Pauses",
    "ReadModel",
    "Recording",
    "ScopeLoop",
    "Setbacks",
    "StoppedKinds",
    "Teller",
    "Watching",
    "WorkloadDrift",
    "candidate_of",
    "changed_scopes",
    "is_spare",
    "last_epoch",
    "pending",
    "read_here",
]
