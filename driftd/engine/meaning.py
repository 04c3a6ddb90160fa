"""Judgements kept: a difference is judged once, after its repair, and known when it comes again."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from driftd.compile import Compiled, GovernedNamespace
from driftd.drift import Difference, Judgement, LiveScope, World, severity
from driftd.values import Digest, Direction, Finding, FindingType, ObjectRef

_log = structlog.get_logger()
_KEPT = 4096
_MOST_WAITING = 1000
_WORN = 2000
"""Judgements after which the engine's ever-growing caches are thrown away."""
_JUDGED = frozenset({FindingType.MISSING, FindingType.MODIFIED, FindingType.UNEXPECTED, FindingType.TERMINATING})
_Key = tuple[ObjectRef, FindingType, Digest | None, Digest | None]


class Meaning:
    """Asks the reachability engine what differences mean, in a thread, and remembers the answers.

    Nothing waits for it: until a difference is judged it is UNKNOWN, which ranks as loosening. Where the model has more
    than `policies` NetworkPolicies it stays UNKNOWN, since a judgement would take the processor for seconds.

    Args:
        compiled: the model in force.
        policies: how large a model is judged.
        judged: awaited with each finding whose direction has become known.
    """

    def __init__(
        self, *, compiled: Callable[[], Compiled], policies: int, judged: Callable[[Finding], Awaitable[None]]
    ) -> None:
        self._compiled = compiled
        self._most = policies
        self._judged = judged
        self._world: tuple[Compiled, World | None] | None = None
        self._known: OrderedDict[_Key, Judgement] = OrderedDict()
        self._queue: asyncio.Queue[tuple[Finding, Difference | None]] = asyncio.Queue()
        self._waiting = 0

    def offer(self, finding: Finding, difference: Difference) -> None:
        """Have a finding judged when there is time; returns at once. With a thousand waiting it stays UNKNOWN."""
        if finding.direction is Direction.UNKNOWN and finding.type in _JUDGED and self._waiting < _MOST_WAITING:
            self._put(finding, difference)

    def settle(self, finding: Finding) -> None:
        """The object of this finding is canonical again; counts after what was offered before."""
        if finding.type in _JUDGED:
            self._put(finding, None)

    @property
    def idle(self) -> bool:
        """Nothing waits to be judged, and nothing is being judged."""
        return self._waiting == 0

    async def run(self) -> None:
        """Judge what is offered, in order, until cancelled."""
        while True:
            finding, difference = await self._queue.get()
            await self._take(finding, difference)
            self._waiting -= 1

    async def _take(self, finding: Finding, difference: Difference | None) -> None:
        if difference is None:
            await asyncio.to_thread(self._settle, finding.ref)
            return
        judgement = await asyncio.to_thread(self._judge, self._compiled(), difference)
        if judgement is not None:
            self._known[_key(difference)] = judgement
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
            await self._judged(
                replace(
                    finding,
                    direction=judgement.direction,
                    severity=severity(judgement.direction, crosses_tenant=judgement.crosses_tenant),
                    witness=judgement.witness,
                    dialect=judgement.dialect or finding.dialect,
                )
            )

    def recall(
        self, _governed: GovernedNamespace, _live: LiveScope, differences: Sequence[Difference]
    ) -> Mapping[ObjectRef, Judgement]:
        """What is known of these differences already: the Judge of a comparison."""
        found = {}
        for one in differences:
            known = self._known.get(_key(one))
            if known is not None:
                found[one.ref] = known
        return found

    def _put(self, finding: Finding, difference: Difference | None) -> None:
        self._waiting += 1
        self._queue.put_nowait((finding, difference))

    def _judge(self, compiled: Compiled, difference: Difference) -> Judgement | None:
        if self._world is None or self._world[0] is not compiled:
            policies = sum(ref.kind == "NetworkPolicy" for one in compiled.governed.values() for ref in one.objects)
            if policies > self._most:
                _log.warning("meaning.too_large", policies=policies, limit=self._most)
            self._known.clear()
            self._world = (compiled, World(compiled) if policies <= self._most else None)
        world = self._world[1]
        if world is not None and world.edits > _WORN:
            world = world.renewed()
            self._world = (compiled, world)
        return None if world is None else world.judge([difference]).get(difference.ref)

    def _settle(self, ref: ObjectRef) -> None:
        if self._world is not None and self._world[1] is not None:
            self._world[1].settle([ref])


def _key(difference: Difference) -> _Key:
    desired, live = difference.desired, difference.live
    return difference.ref, difference.type, desired.digest if desired else None, live.digest if live else None
