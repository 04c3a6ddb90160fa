"""PagerDuty's Events API v2: a page as the bodies of its alert events and change events.

Bounds from the API's own documentation: a summary has at most 1,024 characters, a deduplication key 255, a body 512 KB.
The client that sends them checks none of this.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from driftd.paging.pages import Page
from driftd.paging.wording import Links, details_of, links_of, summary_of

Event: TypeAlias = dict[str, Any]
"""A decoded JSON body without the routing key, which only the sender adds."""

_SUMMARY = 1024


def trigger_of(page: Page, cluster: str, links: Links) -> Event:
    """The event that opens the incident, or tells more of it."""
    return {
        "event_action": "trigger",
        "dedup_key": page.key,
        "client": "driftd",
        "links": _links(page, links),
        "payload": {
            "summary": summary_of(page, cluster)[:_SUMMARY],
            "source": cluster or "driftd",
            "severity": page.urgency.value,
            "timestamp": page.opened.isoformat(),
            "component": page.about.kind,
            "group": page.about.tenant or page.route,
            "class": page.cls.value if page.cls else "",
            "custom_details": details_of(page, cluster),
        },
    }


def resolve_of(page: Page) -> Event:
    """The event that ends the incident."""
    return {"event_action": "resolve", "dedup_key": page.key}


def change_of(page: Page, cluster: str, links: Links) -> Event:
    """A change event: shown beside incidents, wakes nobody."""
    details: Mapping[str, str] = details_of(page, cluster)
    return {
        "links": _links(page, links),
        "payload": {
            "summary": summary_of(page, cluster)[:_SUMMARY],
            "source": cluster or "driftd",
            "timestamp": (page.resolved or page.opened).isoformat(),
            "custom_details": details,
        },
    }


def _links(page: Page, links: Links) -> list[dict[str, str]]:
    return [{"href": link.href, "text": link.text} for link in links_of(page, links)]
