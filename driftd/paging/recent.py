"""Pages as people and programs read them: with the very events that PagerDuty gets, whether it is there or not."""

from typing import Any, TypeAlias

import msgspec

from driftd.paging.events import change_of, resolve_of, trigger_of
from driftd.paging.pages import Page, PageState, page_of
from driftd.paging.wording import Links, summary_of
from driftd.store import Archive, Told

Shown: TypeAlias = dict[str, Any]
"""One page as JSON."""


async def recent(
    archive: Archive, *, cluster: str = "", links: Links | None = None, tenant: str | None = None, limit: int = 100
) -> list[Shown]:
    """The newest pages, the newest first; raises `StoreUnreadable`.

    `events` are the bodies of Events API v2 without their routing key, in order; a page that waits, was muted, or is
    told as part of a storm has none.
    """
    told = await archive.pages(tenant=tenant, limit=limit)
    return [_shown(one, cluster, links or Links()) for one in told]


def _shown(told: Told, cluster: str, links: Links) -> Shown:
    page = page_of(told.page)
    cluster = cluster or page.key.split(":")[1]
    return {
        "key": page.key,
        "life": page.life,
        "class": page.cls.value if page.cls else "",
        "urgency": page.urgency.value,
        "state": page.state.value,
        "summary": summary_of(page, cluster),
        "about": msgspec.to_builtins(page.about),
        "route": page.route,
        "opened": page.opened.isoformat(),
        "triggered": page.triggered.isoformat() if page.triggered else None,
        "resolved": page.resolved.isoformat() if page.resolved else None,
        "muted": page.muted,
        "storm": page.storm,
        "reasons": msgspec.to_builtins(page.reasons),
        "events": _events(page, cluster, links),
        "deliveries": msgspec.to_builtins(told.deliveries),
    }


def _events(page: Page, cluster: str, links: Links) -> list[Shown]:
    if not page.told:
        return []
    if page.state is PageState.CHANGE:
        return [change_of(page, cluster, links)]
    found = [trigger_of(page, cluster, links)]
    if page.state is PageState.RESOLVED:
        found.append(resolve_of(page))
    return found
