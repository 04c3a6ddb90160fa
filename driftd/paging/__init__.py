"""Who is woken, when and how: page state machine, outbox, one sender a destination."""

from driftd.paging.alertmanager import Alertmanager
from driftd.paging.destination import Destination, NotAccepted, Refused
from driftd.paging.machine import Machine
from driftd.paging.maintenance import MaintenanceFile
from driftd.paging.outbox import Outbox, Pacing
from driftd.paging.pager import Pager
from driftd.paging.pagerduty import US, PagerDuty, pagerduty_trust
from driftd.paging.pages import About, Condition, Page, PageClass, PageState, Reason, Urgency, about_object, line
from driftd.paging.recent import recent
from driftd.paging.rules import DEFAULT_ROUTE, Maintenance, Route, Rules
from driftd.paging.step import Action, Step
from driftd.paging.windows import Instant, Windows
from driftd.paging.wording import Links

__all__ = [
    "DEFAULT_ROUTE",
    "US",
    "About",
    "Action",
    "Alertmanager",
    "Condition",
    "Destination",
    "Instant",
    "Links",
    "Machine",
    "Maintenance",
    "MaintenanceFile",
    "NotAccepted",
    "Outbox",
    "Pacing",
    "Page",
    "PageClass",
    "PageState",
    "Pager",
    "PagerDuty",
    "Reason",
    "Refused",
    "Route",
    "Rules",
    "Step",
    "Urgency",
    "Windows",
    "about_object",
    "line",
    "pagerduty_trust",
    "recent",
]
