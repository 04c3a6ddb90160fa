"""Compare desired with live, report, plan writes that never loosen, guard the model, and outlast fights; pure."""

from driftd.drift.admins import NO_ADMIN_POLICIES, AdminPolicies
from driftd.drift.breaker import Fight, FightBreaker
from driftd.drift.compare import Comparison, compare
from driftd.drift.entitled import Input, entitled
from driftd.drift.exposure import exposed, misdirected, owners_of, unkept
from driftd.drift.findings import FIELD_MANAGER, KIND_ITSELF, blocked, decides_flows, defaulted, finding_id
from driftd.drift.guard import Held, deletions, guard, orphans, switched_on
from driftd.drift.inputs import home_inputs, label_inputs, labels_of, pod_inputs
from driftd.drift.live import LiveService, LiveSlice, ServicePort, service_from_body, slice_from_body
from driftd.drift.loosening import loosened
from driftd.drift.meaning import JUDGED, UNJUDGED, Difference, DifferenceKey, Judge, Judgement, judgeable, severity
from driftd.drift.paused import paused
from driftd.drift.plan import plan
from driftd.drift.relabelled import relabelled_others, relabelled_pods
from driftd.drift.repair import bears_flows, cut_anew
from driftd.drift.report import report
from driftd.drift.served import Backings
from driftd.drift.state import KindState, LiveScope
from driftd.drift.telling import MOST_OPEN, Candidate, sort_of, told
from driftd.drift.tolerance import allows, depends_on_effect, tolerates
from driftd.drift.twin import twin_ref
from driftd.drift.words import shown
from driftd.drift.world import World

__all__ = [
    "FIELD_MANAGER",
    "JUDGED",
    "KIND_ITSELF",
    "MOST_OPEN",
    "NO_ADMIN_POLICIES",
    "UNJUDGED",
    "AdminPolicies",
    "Backings",
    "Candidate",
    "Comparison",
    "Difference",
    "DifferenceKey",
    "Fight",
    "FightBreaker",
    "Held",
    "Input",
    "Judge",
    "Judgement",
    "KindState",
    "LiveScope",
    "LiveService",
    "LiveSlice",
    "ServicePort",
    "World",
    "allows",
    "bears_flows",
    "blocked",
    "compare",
    "cut_anew",
    "decides_flows",
    "defaulted",
    "deletions",
    "depends_on_effect",
    "entitled",
    "exposed",
    "finding_id",
    "guard",
    "home_inputs",
    "judgeable",
    "label_inputs",
    "labels_of",
    "loosened",
    "misdirected",
    "orphans",
    "owners_of",
    "paused",
    "plan",
    "pod_inputs",
    "relabelled_others",
    "relabelled_pods",
    "report",
    "service_from_body",
    "severity",
    "shown",
    "slice_from_body",
    "sort_of",
    "switched_on",
    "told",
    "tolerates",
    "twin_ref",
    "unkept",
]
