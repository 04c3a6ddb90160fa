"""Alertmanager's API v2: a page as an alert, whose end moves on for as long as it is open."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from driftd.paging.pages import Page, Urgency
from driftd.paging.wording import Links, details_of, links_of, summary_of

Alert: TypeAlias = dict[str, Any]
"""A decoded JSON body of `POST /api/v2/alerts`, which takes a list of them."""

LASTS = timedelta(minutes=5)
"""An open alert that is not sent again for so long ends by itself at Alertmanager."""


def alert_of(page: Page, cluster: str, links: Links, now: datetime, urgency: Urgency, *, over: bool) -> Alert:
    """The alert as of `now`. Its labels are its identity: severity is one of them, hence told apart from the page's."""
    leads = links_of(page, links)
    alert: Alert = {
        "labels": _labels(page, cluster, urgency),
        "annotations": _annotations(page, cluster, {link.name: link.href for link in leads}),
        "startsAt": _stamp(page.opened),
        "endsAt": _stamp(now if over else now + LASTS),
    }
    if leads:
        alert["generatorURL"] = leads[0].href
    return alert


def _labels(page: Page, cluster: str, urgency: Urgency) -> Mapping[str, str]:
    cls = page.cls.value if page.cls else "page"
    found = {
        "alertname": f"Driftd{cls.capitalize()}",
        "severity": urgency.value,
        "page": page.key,
        "cluster": cluster,
        "route": page.route,
        "tenant": page.about.tenant,
        "namespace": page.about.namespace,
        "kind": page.about.kind,
        "name": page.about.name,
    }
    return {key: value for key, value in found.items() if value}


def _annotations(page: Page, cluster: str, leads: Mapping[str, str]) -> Mapping[str, str]:
    details = details_of(page, cluster)
    told = {key: value for key, value in details.items() if key not in _LABELS}
    return {"summary": summary_of(page, cluster), **told, **leads}


_LABELS = frozenset({"cluster", "class", "tenant", "namespace"})
"""Details that stand among the labels, the class as the alert's name."""


def _stamp(moment: datetime) -> str:
    return moment.isoformat()
