"""What a destination is told next of one page, and what goes first."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from driftd.paging.pages import Page, Urgency

Name: TypeAlias = tuple[str, int]
"""Key and number of one life of a page."""
Order: TypeAlias = tuple[int, int, float]


class Action(StrEnum):
    """What a destination can be told of a page."""

    TRIGGER = "trigger"
    RESOLVE = "resolve"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Step:
    """The next thing to tell of one page. `told` is how loudly it was told before, None if it never was."""

    page: Page
    action: Action
    told: Urgency | None = None

    @property
    def order(self) -> Order:
        """What is open by urgency and age, then what has ended, then changes."""
        return _STAGES[self.action], -self.page.urgency.rank, self.page.opened.timestamp()


_STAGES = {Action.TRIGGER: 0, Action.RESOLVE: 1, Action.CHANGE: 2}
