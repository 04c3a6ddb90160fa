"""The page state machine: what is told, when, how loudly, and when it is over. Pure: time is an argument.

Its answer depends on what happened when, and never on how often it is asked: whatever falls due between two events is
settled before the second one counts.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import blake2b

from driftd.paging.cases import CONDITIONS, Case, Cases
from driftd.paging.pages import (
    About,
    Condition,
    Page,
    PageClass,
    PageState,
    Reason,
    Urgency,
    about_object,
    reason_of,
)
from driftd.paging.rules import Rules
from driftd.paging.storms import Storms
from driftd.paging.windows import Instant, Timed, Windows, deserved, due
from driftd.values import Finding

_FORESIGHT = 1.0
"""Pages that fall due within so many seconds belong to the same storm."""
_MUTED_LOOK = 1.0
"""How often a page that waits for the end of a maintenance window is looked at."""
AGAIN_SECONDS = 60.0
"""A page over which something went wrong is tried again after so long."""
_PRECEDENCE = tuple(PageClass)
"""The first of a page's classes names it."""


class Machine:
    """Every page that is not over.

    Give it what happens (`opened`, `reported`, `closed`, `conditions`), ask it to `advance` at `due`, and `take` what
    has changed: these are the pages to keep and to tell. A page that cannot be settled costs no other one, whichever
    was asked for: it is tried again in a minute, and stands among the `faults`.
    """

    def __init__(self, windows: Windows, rules: Rules, cluster: Callable[[], str]) -> None:
        self._windows = windows
        self._rules = rules
        self._cluster = cluster
        self._cases = Cases()
        self._changed: dict[tuple[str, int], Page] = {}
        self._faults: list[tuple[About, Exception]] = []
        self._odd: dict[str, float] = {}
        self._said: Collection[str] = ()
        self._storms = Storms(windows)
        self._life = 0

    # -- what happens ---------------------------------------------------------------------------------------------

    def load(self, pages: Iterable[Page], now: Instant) -> list[str]:
        """Take over pages that are kept (oldest first) and not over, each by itself; the findings that they hold open.

        Whoever knows which of these are over says so next (`closed`); until then they count as open. Conditions are
        what `conditions` says next.
        """
        kept = list(pages)
        # Later lives have later numbers, whatever the wall clock says meanwhile.
        self.behind(page.life for page in kept)
        unfinished = [page for page in kept if not page.over and self._cases.about(page.about.id) is None]
        # Two replicas that did not know of each other have begun a life each: the later one goes on.
        known = {page.about.id: page for page in unfinished}.values()
        restored: list[Case] = []
        for page in known:
            if page.cls is not PageClass.STORM:
                try:
                    restored.append(self._restore(page, now))
                except Exception as error:  # noqa: BLE001 - what was kept is odd: the others are taken over
                    self._faults.append((page.about, error))
        for page in known:
            if page.cls is PageClass.STORM:
                standing = {case.page.key for case in restored if case.page.storm == page.key}
                self._storms.load(page, standing, now.monotonic)
        self._note(*self._storms.prune(now.wall))
        return [id for case in restored for id, one in case.timed.items() if _is_finding(one)]

    def opened(
        self, finding: Finding, now: Instant, *, trace: str = "", since: datetime | None = None, rollout: bool = False
    ) -> None:
        """A finding is open: new, again, or still. `rollout`: only the model has changed."""
        self.advance(now)
        reason = reason_of(finding, since or now.wall, trace, rollout=rollout)
        self._raise(self._case(about_object(finding.ref, finding.tenant), now), reason, now)

    def reported(self, finding: Finding, now: Instant, *, rollout: bool = False) -> None:
        """More is known of a finding; counts only while its page is not over.

        `rollout`: it still shows only that the model has changed. What is open and shows more than that by now counts
        from this moment on.
        """
        self.advance(now)
        case = self._cases.of(finding.id)
        if case is None:
            return
        timed = case.timed[finding.id]
        before = timed.reason
        rollout = before.rollout and (rollout or timed.closed is not None)
        after = reason_of(finding, before.opened, before.trace, rollout=rollout)
        timed.reason = replace(after, closed=before.closed, times=before.times)
        if before.rollout and not rollout:
            timed.opened = now.monotonic
        if timed.reason == before:
            return
        # Who was woken by "nobody knows yet" is told once what it is.
        news = case.page.state is PageState.OPEN and timed.reason.judged and not before.judged
        self._snapshot(case, revision=case.page.revision + news)
        self._look(case, now)

    def closed(self, ids: Iterable[str], now: Instant) -> None:
        """These findings are over."""
        self.advance(now)
        for id in ids:
            case = self._cases.of(id)
            if case is None or case.timed[id].closed is not None:
                continue
            timed = case.timed[id]
            timed.closed, timed.reason = now.monotonic, replace(timed.reason, closed=now.wall)
            if all(one.closed is not None for one in case.timed.values()):
                case.quiet = now.monotonic
            self._snapshot(case, quiet=now.wall if case.quiet is not None else None)
            self._look(case, now)

    def conditions(self, current: Collection[Condition], now: Instant, *, whole: bool = True) -> None:
        """What driftd says of itself right now; what it said before and does not say any more is over.

        Unless this is the `whole`, only the call before counts: who does not lead cannot end what the leader says.
        """
        self.advance(now)
        ids = {one.id for one in current}
        known = self._cases.conditions() if whole else self._said
        self.closed([id for id in known if id not in ids], now)
        self._said = ids
        self._odd = {id: again for id, again in self._odd.items() if id in ids and again > now.monotonic}
        for one in current:
            if one.id in self._odd or self._known(one):
                continue
            reason = Reason(one.id, one.cls, one.cls.value, one.summary, judged=True, opened=now.wall)
            try:
                case = self._case(one.about, now)
            except Exception as error:  # noqa: BLE001 - it is not known whose page that is: the others go on
                self._faults.append((one.about, error))
                self._odd[one.id] = now.monotonic + AGAIN_SECONDS
            else:
                self._raise(case, reason, now)

    def advance(self, now: Instant) -> None:
        """Settle everything that has fallen due."""
        while (case := self._cases.take_due(now.monotonic)) is not None:
            self._look(case, now)

    # -- what came of it ------------------------------------------------------------------------------------------

    def take(self) -> tuple[Page, ...]:
        """Pages that have changed since the last call, each as it is now."""
        changed, self._changed = tuple(self._changed.values()), {}
        return changed

    def faults(self) -> tuple[tuple[About, Exception], ...]:
        """What went wrong since the last call, and over which page."""
        faults, self._faults = tuple(self._faults), []
        return faults

    def touch(self) -> None:
        """Have every page that is not over taken once more."""
        self._note(*self.in_hand().values())

    def again(self, keys: Collection[str]) -> None:
        """These pages count as over elsewhere, and are not: who knows of one that is not quiet is told once more."""
        for case in self._cases:
            if case.page.key in keys:
                told = case.page.state is PageState.OPEN and case.quiet is None
                self._snapshot(case, revision=case.page.revision + told)
        self._note(*self._storms.again(keys))

    def behind(self, lives: Iterable[int]) -> None:
        """Somebody else has begun these lives: those that begin here from now on are later ones."""
        self._life = max([self._life, *lives])

    def forget(self) -> None:
        """Another replica keeps these now."""
        self._cases.clear()
        self._changed.clear()
        self._odd.clear()
        self._said = ()
        self._storms = Storms(self._windows)

    def route(self, about: About) -> str:
        """The route that a page about this takes if it begins now."""
        return self._rules.route(about)

    @property
    def empty(self) -> bool:
        """Whether it knows of nothing that is not over."""
        return not len(self._cases)

    def standing(self) -> Iterator[Page]:
        """Every page that is not over and matters."""
        yield from (case.page for case in self._cases if case.matters)

    def in_hand(self) -> dict[str, Page]:
        """By key, these and the storms."""
        return {page.key: page for page in (*self.standing(), *self._storms.standing())}

    def open_counts(self) -> dict[tuple[PageClass, Urgency], int]:
        """How many pages are open, by class and urgency; the members of a storm are, and not its own page."""
        return self._cases.open_counts()

    @property
    def due(self) -> float | None:
        """The monotonic second at which something falls due; it may turn out to be nothing."""
        return self._cases.due

    # -- one life -------------------------------------------------------------------------------------------------

    def _case(self, about: About, now: Instant) -> Case:
        case = self._cases.about(about.id)
        if case is None:
            cluster = self._cluster()
            self._life = max(self._life + 1, int(now.wall.timestamp() * 1000))
            page = Page(
                key=f"driftd:{cluster[:100]}:{blake2b(f'{cluster} {about.id}'.encode(), digest_size=12).hexdigest()}",
                life=self._life,
                about=about,
                route=self._rules.route(about),
                state=PageState.WAITING,
                cls=None,
                urgency=Urgency.WARNING,
                opened=now.wall,
            )
            case = Case(page)
            self._cases.add(case)
        return case

    def _raise(self, case: Case, reason: Reason, now: Instant) -> None:
        timed = case.timed.get(reason.id)
        if timed is None:
            elapsed = max(timedelta(), now.wall - reason.opened).total_seconds()
            self._cases.bind(case, Timed(reason, now.monotonic - elapsed))
        else:
            held = timed.closed is None or now.monotonic - timed.closed <= self._windows.steady
            times = timed.reason.times + (timed.closed is not None)
            opened = timed.reason.opened if held else reason.opened
            after = replace(reason, opened=opened, times=times, trace=reason.trace or timed.reason.trace)
            if after == timed.reason:
                return
            timed.reason, timed.closed = after, None
            timed.opened = timed.opened if held else now.monotonic
        case.quiet = None
        self._snapshot(case, quiet=None)
        self._look(case, now)

    def _look(self, case: Case, now: Instant) -> None:
        try:
            self._settle(case, now)
        except Exception as error:  # noqa: BLE001 - whatever is odd about one page, the others are to be told
            self._faults.append((case.page.about, error))
            again = now.monotonic + AGAIN_SECONDS
            self._cases.schedule(case, again if case.next is None else min(again, case.next))

    def _settle(self, case: Case, now: Instant) -> None:
        """Move a life on as far as it goes at this moment, and note when to look again."""
        ripe = {id: date for id, one in case.timed.items() if (date := _at(due(one, self._windows))) <= now.monotonic}
        if case.page.state is PageState.WAITING and ripe and self._mute(case, [case.timed[id] for id in ripe], now):
            return
        for date in sorted({*ripe.values()}):  # as if somebody had looked at each
            by_then = [case.timed[id] for id, at in ripe.items() if at <= date]
            if case.page.state is PageState.WAITING:
                self._trigger(case, by_then, now)
            else:
                self._escalate(case, by_then)
        if case.quiet is not None and now.monotonic >= self._rest(case):
            self._end(case, now)
            return
        dates = (_at(due(one, self._windows)) for one in case.timed.values())
        later = [at for at in dates if now.monotonic < at < float("inf")]
        if case.quiet is not None:
            later.append(self._rest(case))
        if later:
            self._cases.schedule(case, min(later))

    def _rest(self, case: Case) -> float:
        """When a quiet life is over, unless something is still to be told of it before."""
        quiet = _at(case.quiet)
        if case.page.state is PageState.OPEN:
            return quiet + self._windows.resolve
        dates = [at for one in case.timed.values() if (at := due(one, self._windows)) is not None]
        return max([quiet + self._windows.steady, *dates])

    def _mute(self, case: Case, ripe: list[Timed], now: Instant) -> bool:
        why = self._rules.muted(case.page.about, _named(ripe), now.wall)
        if not why:
            return False
        if why != case.page.muted:
            self._snapshot(case, muted=why, cls=_named(ripe))
        if case.quiet is not None:
            self._end(case, now)
        else:
            self._cases.schedule(case, now.monotonic + _MUTED_LOOK)
        return True

    def _trigger(self, case: Case, ripe: list[Timed], now: Instant) -> None:
        urgency = max((deserved(one) for one in ripe), key=lambda one: one.rank)
        self._snapshot(
            case, state=PageState.OPEN, cls=_named(ripe), urgency=urgency, revision=1, triggered=now.wall, muted=""
        )
        soon = self._soon(case.page, now.monotonic)
        if self._storms.brewing(case.page.route, now.monotonic, soon):
            storm = self._storms.join(case.page, self._cluster(), now.monotonic, now.wall)
            self._note(storm)
            self._snapshot(case, storm=storm.key)

    def _soon(self, page: Page, now: float) -> int:
        """How many other pages of the route are about to be told; counted no further than a storm needs."""
        count = 0
        for other in self._cases.soon(now + _FORESIGHT):
            waits = other.page.state is PageState.WAITING and not other.page.muted and other.page.route == page.route
            told = waits and other.matters
            if told and any(_at(due(one, self._windows)) <= now + _FORESIGHT for one in other.timed.values()):
                count += 1
                if count > self._windows.storm_pages:
                    break
        return count

    def _escalate(self, case: Case, ripe: list[Timed]) -> None:
        """A page only ever becomes more urgent: what has woken somebody does not take it back."""
        urgency = max((deserved(one) for one in ripe), key=lambda one: one.rank)
        if urgency.rank <= case.page.urgency.rank:
            return
        self._snapshot(case, urgency=urgency, cls=_named(ripe), revision=case.page.revision + 1)
        self._note(*self._storms.worse(case.page))

    def _end(self, case: Case, now: Instant) -> None:
        if case.page.state is PageState.OPEN:
            self._finish(case, PageState.RESOLVED, now)
        elif case.page.muted:
            self._finish(case, PageState.MUTED, now)
        elif any(one.reason.cls is PageClass.LOOSENING and not one.reason.rollout for one in case.timed.values()):
            self._snapshot(case, cls=PageClass.LOOSENING, revision=1)
            self._finish(case, PageState.CHANGE, now)
        else:
            self._snapshot(case, gone=True)
            self._finish(case, PageState.WAITING, now)

    def _finish(self, case: Case, state: PageState, now: Instant) -> None:
        self._snapshot(case, state=state, resolved=now.wall)
        self._cases.remove(case)
        self._note(*self._storms.over(case.page, now.wall))

    # -- bookkeeping ----------------------------------------------------------------------------------------------

    def _restore(self, page: Page, now: Instant) -> Case:
        case = Case(page)
        for reason in page.reasons:
            elapsed = max(timedelta(), now.wall - reason.opened).total_seconds()
            closed = None if reason.closed is None else now.monotonic
            case.timed[reason.id] = Timed(reason, now.monotonic - elapsed, closed)
        if all(one.closed is not None for one in case.timed.values()):
            case.quiet = now.monotonic  # how long it has been quiet is not known: it starts anew
        self._cases.add(case)
        self._cases.schedule(case, now.monotonic)
        return case

    def _snapshot(self, case: Case, **fields: object) -> None:
        if not case.matters:
            return
        reasons = tuple(one.reason for one in case.timed.values())
        version = case.page.version + 1
        page = replace(case.page, reasons=reasons, version=version, **fields)  # type: ignore[arg-type]
        self._cases.turn(case, page)
        self._note(case.page)

    def _known(self, condition: Condition) -> bool:
        """Whether this condition stands already, in these words."""
        case = self._cases.of(condition.id)
        timed = case.timed[condition.id] if case is not None else None
        return timed is not None and timed.closed is None and timed.reason.summary == condition.summary

    def _note(self, *pages: Page) -> None:
        self._changed.update({(page.key, page.life): page for page in pages})


def _at(date: float | None) -> float:
    return float("inf") if date is None else date


def _named(ripe: Iterable[Timed]) -> PageClass:
    """The class a page goes by: the gravest of what is due."""
    return min((one.reason.cls for one in ripe if one.reason.cls is not None), key=_PRECEDENCE.index)


def _is_finding(timed: Timed) -> bool:
    return timed.reason.cls not in CONDITIONS and timed.closed is None
