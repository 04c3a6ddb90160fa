"""Storms: many pages of one route at once become one page with a count."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime

from driftd.paging.pages import About, Page, PageClass, PageState, Urgency
from driftd.paging.windows import Windows

_SAMPLES = 5
"""Members that a storm's page names."""


@dataclass(slots=True)
class Storm:
    """One storm's page, the members that still stand, and what people know of its size."""

    page: Page
    standing: set[str] = field(default_factory=set)
    told_members: int = 1
    joined: float = 0.0


class Storms:
    """Says when pages come too thick to be told one by one, and keeps the page they share.

    A storm takes members in for as long as they keep coming that thick; what comes later is a page of its own, so that
    nothing hides behind an incident that somebody has acknowledged.
    """

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._recent: dict[str, deque[float]] = {}
        self._storms: dict[str, Storm] = {}

    def brewing(self, route: str, now: float, soon: int) -> bool:
        """Count one more page of this route; whether it belongs to a storm. `soon` are those about to follow."""
        recent = self._recent.setdefault(route, deque())
        while recent and now - recent[0] > self._windows.storm:
            recent.popleft()
        recent.append(now)
        return len(recent) + soon > self._windows.storm_pages

    def load(self, page: Page, standing: set[str], now: float) -> None:
        """Take over a storm that is not over."""
        self._storms[page.key] = Storm(page, standing, max(1, page.members), now)

    def standing(self) -> list[Page]:
        """Storms that are not over."""
        return [storm.page for storm in self._storms.values()]

    def join(self, member: Page, cluster: str, now: float, wall: datetime) -> Page:
        """Have `member` told with the others of its route; the storm's page as it is now."""
        storm = self._open(member.route, now) or self._begin(member, cluster, wall)
        storm.joined = now
        storm.standing.add(member.key)
        page = storm.page
        count = page.members + 1
        louder = member.urgency.rank > page.urgency.rank
        tell = louder or page.revision == 0 or count >= 2 * storm.told_members
        if tell:
            storm.told_members = count
        samples = page.samples if len(page.samples) >= _SAMPLES else (*page.samples, f"{member.about} ({member.cls})")
        return self._keep(
            storm,
            replace(
                page,
                members=count,
                samples=samples,
                urgency=member.urgency if louder else page.urgency,
                revision=page.revision + 1 if tell else page.revision,
            ),
        )

    def worse(self, member: Page) -> list[Page]:
        """A member has become more urgent; the storm's page if that concerns it."""
        storm = self._storms.get(member.storm)
        if storm is None or member.urgency.rank <= storm.page.urgency.rank:
            return []
        page = storm.page
        return [self._keep(storm, replace(page, urgency=member.urgency, revision=page.revision + 1))]

    def again(self, keys: Collection[str]) -> list[Page]:
        """Storms that count as over elsewhere, and are not: they are told once more."""
        told = [storm for key, storm in self._storms.items() if key in keys]
        return [self._keep(storm, replace(storm.page, revision=storm.page.revision + 1)) for storm in told]

    def over(self, member: Page, wall: datetime) -> list[Page]:
        """A member is over; the storm's page, which ends with its last member."""
        storm = self._storms.get(member.storm)
        return [] if storm is None else [self._left(storm, member.key, wall)]

    def prune(self, wall: datetime) -> list[Page]:
        """Storms that nobody stands in any more, ended: after a restart."""
        return [self._left(storm, "", wall) for storm in list(self._storms.values()) if not storm.standing]

    def _left(self, storm: Storm, key: str, wall: datetime) -> Page:
        storm.standing.discard(key)
        if storm.standing:
            return self._keep(storm, storm.page)
        del self._storms[storm.page.key]
        return self._keep(storm, replace(storm.page, state=PageState.RESOLVED, quiet=wall, resolved=wall))

    def _open(self, route: str, now: float) -> Storm | None:
        for storm in self._storms.values():
            if storm.page.route == route and now - storm.joined <= self._windows.storm:
                return storm
        return None

    def _begin(self, member: Page, cluster: str, wall: datetime) -> Storm:
        life = int(wall.timestamp() * 1000)
        name = f"storm:{member.route}:{life:x}"
        page = Page(
            key=f"driftd:{cluster[:100]}:{name}",
            life=life,
            about=About(name, "Storm", member.route),
            route=member.route,
            state=PageState.OPEN,
            cls=PageClass.STORM,
            urgency=Urgency.WARNING,
            opened=wall,
            triggered=wall,
        )
        storm = self._storms[page.key] = Storm(page)
        return storm

    @staticmethod
    def _keep(storm: Storm, page: Page) -> Page:
        storm.page = replace(page, version=storm.page.version + 1, standing=len(storm.standing))
        return storm.page
