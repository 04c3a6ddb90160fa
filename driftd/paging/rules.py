"""Whose evening it is, and when it is nobody's: routes by tenant or plan, and maintenance windows."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from driftd.paging.pages import About, PageClass

DEFAULT_ROUTE = "default"
"""The route of what no other route names."""


@dataclass(frozen=True, slots=True)
class Route:
    """Who is told about these tenants, or about tenants on these plans. A tenant named counts before a plan."""

    name: str
    tenants: frozenset[str] = frozenset()
    plans: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A time in which pages wait. Empty `tenants` and `namespaces` mean all; drift across tenants waits only if named.

    What is still open at the end is told then; what was over by then is recorded, and wakes nobody.
    """

    begin: datetime
    end: datetime
    reason: str
    tenants: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    classes: frozenset[PageClass] = frozenset(PageClass) - {PageClass.CROSSING}

    def covers(self, about: About, cls: PageClass, at: datetime) -> bool:
        """Whether a page of this class about this waits at this moment (the end is not in it)."""
        named = about.tenant in self.tenants or about.namespace in self.namespaces
        whole = not self.tenants and not self.namespaces
        return self.begin <= at < self.end and cls in self.classes and (whole or named)


class Rules:
    """Routes and maintenance as they are now.

    Args:
        routes: asked in order.
        plan_of: the plan of a namespace, empty where the model names none.
        maintenance: the windows as last read.
    """

    def __init__(
        self,
        routes: Iterable[Route] = (),
        plan_of: Callable[[str], str] = lambda _: "",
        maintenance: Callable[[], Sequence[Maintenance]] = lambda: (),
    ) -> None:
        self._routes = tuple(routes)
        self._plan_of = plan_of
        self._maintenance = maintenance

    def route(self, about: About) -> str:
        """The name of the route that a page about this takes."""
        for route in self._routes:
            if about.tenant and about.tenant in route.tenants:
                return route.name
        plan = self._plan_of(about.namespace) if about.namespace else ""
        for route in self._routes:
            if plan and plan in route.plans:
                return route.name
        return DEFAULT_ROUTE

    def muted(self, about: About, cls: PageClass, at: datetime) -> str:
        """Why a page waits at this moment, empty when it does not."""
        for window in self._maintenance():
            if window.covers(about, cls, at):
                return window.reason or f"maintenance until {window.end.isoformat()}"
        return ""
