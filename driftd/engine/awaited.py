"""How long judgements of tenants' own policies are waited for, which stand without a finding: a namespace's budget."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from driftd.drift import Difference, DifferenceKey
from driftd.values import ObjectRef, Scope

_BUDGET_SECONDS = 5.0
"""For which something of a namespace may stand so, in any..."""
_WINDOW_SECONDS = 60.0
"""...of these. It is the namespace's: a policy that is deleted and made again, or under another name, begins no new
one."""
_LEAST_SECONDS = 0.1
"""Less than this of it is nothing."""
_SETTLING_SECONDS = 600.0
"""After a start, and under a new model, all that stood before waits at once: so long it costs no budget."""
_FLICKER_SECONDS = 60.0
_FLICKER_VERSIONS = 8
"""More versions of one object in that time, each not judged when it was first seen, and it is tolerated no longer."""
_MOST_REMEMBERED = 4096
"""Objects whose versions are remembered; beyond that the oldest begin anew."""


@dataclass(slots=True)
class _Account:
    """What a namespace has had. `begun`: since when something of it stands so by its budget."""

    settling: dict[DifferenceKey, float] = field(default_factory=dict)
    spent: deque[tuple[float, float]] = field(default_factory=deque)
    begun: float | None = None
    told: set[ObjectRef] = field(default_factory=set)
    hurried: set[ObjectRef] = field(default_factory=set)

    def left(self, now: float) -> float:
        """Seconds that are left of the budget; what is under way counts."""
        since = now - _WINDOW_SECONDS
        while self.spent and self.spent[0][1] <= since:
            self.spent.popleft()
        under_way = [] if self.begun is None else [(self.begun, now)]
        return _BUDGET_SECONDS - sum(end - max(begin, since) for begin, end in (*self.spent, *under_way))

    def end(self, now: float) -> None:
        if self.begun is not None:
            self.spent.append((self.begun, now))
            self.begun = None


class Awaited:
    """Keeps the account of each namespace. `now` only goes forward.

    An object that has been told, since the budget was used up, is told until it is judged or gone.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._accounts: dict[Scope, _Account] = {}
        self._versions: OrderedDict[ObjectRef, OrderedDict[DifferenceKey, float]] = OrderedDict()
        self._started: float | None = None

    def renew(self, stood: Mapping[Scope, Collection[DifferenceKey]], governed: Collection[str]) -> None:
        """Another model is in force: `stood`, which stood by judgements until now, is judged anew, all at once.

        What waited under the last model goes on with what it had left.
        """
        until = self._now() + _SETTLING_SECONDS
        self._accounts = {scope: one for scope, one in self._accounts.items() if scope.namespace in governed}
        for scope, keys in stood.items():
            if scope in self._accounts:
                account = self._accounts[scope]
                account.settling = dict.fromkeys(keys, until) | account.settling

    def seconds_left(self, scope: Scope, unanswered: Collection[Difference]) -> Mapping[ObjectRef, float]:
        """For how long these, which have no judgement, are still waited for; what is not among them is told.

        To be called with all of them at each look at a namespace, also when there are none.
        """
        now = self._now()
        self._started = now if self._started is None else self._started
        account = self._accounts.get(scope)
        if account is None:  # the first look there: what stands was there before
            until = self._started + _SETTLING_SECONDS
            account = _Account({one.key: until for one in unanswered} if until > now else {})
            self._accounts[scope] = account
        keys = {one.key: one.ref for one in unanswered}
        account.settling = {key: until for key, until in account.settling.items() if key in keys}
        waits = {keys[key]: until - now for key, until in account.settling.items()}
        account.told &= {*keys.values()}
        account.told |= {ref for ref, seconds in waits.items() if seconds <= 0}
        others = {*keys.values()} - waits.keys() - account.told
        left = account.left(now)
        account.hurried = set()
        if others and left > _LEAST_SECONDS:
            account.begun = now if account.begun is None else account.begun
            account.hurried = others
            waits |= dict.fromkeys(others, left)
        else:
            account.end(now)
            account.told |= others
        return {ref: seconds for ref, seconds in waits.items() if ref not in account.told}

    def hurries(self, scope: Scope, ref: ObjectRef) -> bool:
        """Whether the budget runs while an object waits, as of the last look."""
        return scope in self._accounts and ref in self._accounts[scope].hurried

    def flickers(self, difference: Difference) -> bool:
        """Whether an object has been so many others lately that no judgement can keep up: it is not waited for."""
        versions = self._versions.setdefault(difference.ref, OrderedDict())
        self._versions.move_to_end(difference.ref)
        if len(self._versions) > _MOST_REMEMBERED:
            self._versions.popitem(last=False)
        now = self._now()
        versions.setdefault(difference.key, now)
        while versions and (
            now - next(iter(versions.values())) > _FLICKER_SECONDS or len(versions) > _FLICKER_VERSIONS + 1
        ):
            versions.popitem(last=False)
        return len(versions) > _FLICKER_VERSIONS
