"""Compares the mirror with the truth: a rolling GET of single objects, and a full list of a kind now and then.

Both heal what they find and count it: a watch cache that loses events does so silently, and the count is the only
sign of it. A difference counts only after the watch had time to tell, and after a second look past all caches.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import structlog

from driftd.cluster.errors import BadAnswer, ClusterError
from driftd.cluster.mirror import KindNotWatched, Mirror
from driftd.cluster.pace import Pace
from driftd.cluster.paths import collection_path
from driftd.cluster.session import Session
from driftd.cluster.truth import ListExpired, Truth, pages
from driftd.cluster.versions import older
from driftd.cluster.wire import Listed, Malformed
from driftd.drift import KindState
from driftd.values import Live, ObjectRef, Resource

_SLICE: Final = 24
_COMPARED: Final = 500
"""Versions held against each other before the loop gets its turn: a millisecond or two."""
_LIST_TRIES: Final = 3
_log = structlog.get_logger()


class Gap(StrEnum):
    """What the mirror did not know."""

    MISSED_ADD = "missed-add"
    MISSED_CHANGE = "missed-change"
    MISSED_DELETE = "missed-delete"
    WENT_BACK = "went-back"  # etcd tells an older version than was known: it was put back from a backup


@dataclass(frozen=True, slots=True)
class Divergence:
    """One object the watch failed to tell the truth about; the mirror has been put right already.

    But for WENT_BACK: there nothing that is known of any kind counts any more, and all has to be listed again.
    """

    ref: ObjectRef
    gap: Gap


@dataclass(frozen=True, slots=True)
class Audited:
    """The end of a full comparison of one kind: objects compared, and what differed."""

    resource: Resource
    compared: int
    divergences: tuple[Divergence, ...]


@dataclass(slots=True)
class Auditor:
    """Looks past the caches. `grace` is how many seconds a watch may lag before a difference counts."""

    session: Session
    truth: Truth
    mirror: Mirror
    pace: Pace
    grace: float = 5.0
    counts: Counter[tuple[str, Gap]] = field(default_factory=Counter)

    async def check(self, ref: ObjectRef) -> Divergence | None:
        """Compares one object; None if the mirror is right, or its kind is not READY and claims nothing.

        Raises:
            ClusterError: nothing is known. KindNotWatched.
        """
        resource = self.mirror.resource_of(ref)
        if self.mirror.state(resource) is not KindState.READY:
            return None
        gap, now = await self._look(ref)
        if gap is None:
            if now is not None:
                self.mirror.correct(now)  # the version that is known, perhaps shown otherwise: no watch tells of that
            return None
        if gap is not Gap.WENT_BACK:
            await self.pace.sleep(self.grace)
            gap, now = await self._look(ref)
        if gap is None or self.mirror.state(resource) is not KindState.READY:
            return None
        if gap is not Gap.WENT_BACK and not self._heal(ref, now):
            gap = Gap.WENT_BACK  # an object that is known to be gone for good is there
        self.counts[str(resource), gap] += 1
        _log.error("cluster.mirror.diverged", kind=str(resource), gap=gap.value)
        return Divergence(ref, gap)

    async def audit(self, resource: Resource) -> Audited:
        """Compares a whole kind with a fresh, consistent list; what differs is looked at one by one.

        Raises:
            ClusterError: nothing is known of the kind, or of one of the differing objects.
        """
        listed, version = await self._list(resource)
        held = self.mirror.of_kind(resource)
        suspects = []
        for count, (ref, one) in enumerate(listed.items(), start=1):
            if self._behind(held.get(ref), one) or _is_past(held.get(ref), one, version):
                suspects.append(ref)
            if count % _COMPARED == 0:
                await asyncio.sleep(0)
        suspects += [
            ref for ref, live in held.items() if ref not in listed and not older(version, live.resource_version)
        ]
        found = []
        for ref in suspects:
            divergence = await self.check(ref)
            if divergence is not None:
                found.append(divergence)
        return Audited(resource, len(listed), tuple(found))

    async def _list(self, resource: Resource) -> tuple[dict[ObjectRef, Listed | Live], str]:
        """Which versions are there now, and as of when; what the mirror knows just so is told by its own object.

        10,000 whole objects, or names of their own for each, would stay in the process's memory long after the look.
        """
        reader, held = self.mirror.reader(resource), self.mirror.of_kind(resource)
        for _ in range(_LIST_TRIES):
            listed: dict[ObjectRef, Listed | Live] = {}
            left_out: set[str] = set()
            version = ""
            try:
                async for page in pages(self.session, reader):
                    for count, item in enumerate(page.items, start=1):
                        one = reader.listed(item)
                        known = held.get(one.ref)
                        if self.mirror.leaves_out(one.ref):
                            left_out.add(one.ref.namespace)
                        elif known is None or (known.uid, known.resource_version) != (one.uid, one.resource_version):
                            listed[one.ref] = one
                        else:
                            listed[known.ref] = known
                        if count % _SLICE == 0:
                            await asyncio.sleep(0)
                    version = page.resource_version
            except ListExpired:
                continue
            except Malformed as error:
                raise BadAnswer("GET", collection_path(resource), str(error)) from error
            self.mirror.recount(resource, left_out)
            return listed, version
        raise ListExpired(f"GET {collection_path(resource)}: expired {_LIST_TRIES} times; the server forgets too fast")

    @staticmethod
    def _behind(held: Live | None, told: Live | Listed) -> bool:
        return held is None or held.uid != told.uid or older(held.resource_version, told.resource_version)

    async def _look(self, ref: ObjectRef) -> tuple[Gap | None, Live | None]:
        """One GET, and what it shows. What was known before it was sent cannot be newer than a read from etcd."""
        before = self.mirror.get(ref)
        told = await self.truth.get(ref)
        if told is not None and before is not None and older(told.resource_version, before.resource_version):
            return Gap.WENT_BACK, told
        return self._gap(ref, told), told

    def _gap(self, ref: ObjectRef, told: Live | None) -> Gap | None:
        held = self.mirror.get(ref)
        if told is None:
            return None if held is None else Gap.MISSED_DELETE
        if held is None:
            return Gap.MISSED_ADD
        return Gap.MISSED_CHANGE if self._behind(held, told) else None

    def _heal(self, ref: ObjectRef, told: Live | None) -> bool:
        """False when the mirror does not take it, because it holds a proof that this very object is gone."""
        held = self.mirror.get(ref)
        if told is not None:
            return self.mirror.correct(told)
        if held is not None:
            self.mirror.bury(ref, held.uid)
        return True


def _is_past(held: Live | None, listed: Live | Listed, version: str) -> bool:
    """Whether a list shows an object older than it is known, though it ought to know what was written up to then."""
    return (
        held is not None
        and older(listed.resource_version, held.resource_version)
        and not older(version, held.resource_version)
    )


@dataclass(slots=True)
class RollingCheck:
    """Goes round all expected objects at a steady rate, for ever.

    `expected` is asked at the start of each round; `rate` is objects a second; `found` hears of each divergence.
    """

    auditor: Auditor
    expected: Callable[[], Collection[ObjectRef]]
    found: Callable[[Divergence], None]
    rate: float = 5.0
    rounds: int = 0

    async def run(self) -> None:
        """Ends only by cancellation. An object that cannot be asked about is skipped until the next round."""
        pace = self.auditor.pace
        while True:
            refs = tuple(self.expected())
            for ref in refs:
                await pace.sleep(1.0 / self.rate)
                try:
                    divergence = await self.auditor.check(ref)
                except KindNotWatched:
                    continue  # not served here: that is told as the state of the kind
                except ClusterError as error:
                    _log.info("cluster.rolling.skipped", kind=ref.kind, error=str(error))
                    continue
                if divergence is not None:
                    self.found(divergence)
            self.rounds += 1
            if not refs:
                await pace.sleep(1.0)
