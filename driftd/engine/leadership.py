"""One term of leadership: take over what is open, settle what was cut off, then work until the lease is gone."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence

import structlog

from driftd.cluster import ClusterError, Term
from driftd.drift import FightBreaker
from driftd.engine.inforce import InForce
from driftd.engine.loop import ScopeLoop
from driftd.engine.namespaces import KnownNamespaces
from driftd.engine.observe import Observer
from driftd.engine.open_findings import OpenFindings
from driftd.engine.pauses import Pauses
from driftd.engine.stopped import StoppedKinds
from driftd.store import Store, StoreError, StoreGone, StoreState
from driftd.telemetry import Metrics
from driftd.values import CONDEMNED, Clock, Intent, Live, ObjectRef, Outcome, Result, Seen, scope_of

_log = structlog.get_logger()

HOUSEKEEPING_SECONDS = 1.0
_LOOKS_AT_ONCE = 8
ANCHOR_SECONDS = 60.0
"""How often the head of the audit chain is written where the database cannot change it: the log and the lease."""


EPOCH_KEY = "epoch"
"""Under this the store remembers the newest epoch, against a lease that was lost or restored from a backup."""


async def last_epoch(store: Store) -> int:
    """The highest epoch the store remembers, 0 without one, or when the store cannot say."""
    try:
        return int(await store.recall(EPOCH_KEY) or 0)
    except StoreError as error:
        _log.error("store.past_unknown", why=str(error))
        return 0


class Leadership:
    """Leader-only work. `lead` is started when the lease is won and cancelled when it is lost.

    Args:
        reaches: waits a bounded time for a revision to be, or have been, in force here; False when it was not.
        publish: writes the model in force into the lease.
        joined: told when findings of before this term were added to those that are open.
    """

    def __init__(
        self,
        *,
        store: Store,
        loop: ScopeLoop,
        findings: OpenFindings,
        namespaces: KnownNamespaces,
        pauses: Pauses,
        stopped: StoppedKinds,
        observer: Observer,
        breaker: FightBreaker,
        in_force: Callable[[], InForce | None],
        reaches: Callable[[str], Awaitable[bool]],
        publish: Callable[[], Awaitable[None]],
        joined: Callable[[], None],
        learn: Callable[[], Coroutine[None, None, None]],
        relearn: Callable[[], Coroutine[None, None, None]],
        judge: Callable[[], Coroutine[None, None, None]],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._reaches = reaches
        self._publish = publish
        self._joined = joined
        self._learn = learn
        self._relearn = relearn
        self._judge = judge
        self._store = store
        self._loop = loop
        self._findings = findings
        self._namespaces = namespaces
        self._pauses = pauses
        self._stopped = stopped
        self._observer = observer
        self._breaker = breaker
        self._in_force = in_force
        self._clock = clock
        self._metrics = metrics
        self._past_known = False
        self._led = 0
        store.watch(self._store_changed)

    async def lead(self, term: Term) -> None:
        """Work as the leader of this term until cancelled."""
        if term.epoch_before != self._led:
            self._findings.forget()
        self._led = self._store.epoch = term.epoch
        try:
            await self._work(term)
        finally:
            self._store.epoch = 0
            self._stand_down()

    async def _work(self, term: Term) -> None:
        epoch = term.epoch
        self._loop.begin()
        self._metrics.epoch.set(epoch)
        self._stopped.show()
        self._store.expect(term.chain_head)
        await self._note(
            "leadership.taken", {"epoch": str(epoch), "commit_before": term.commit, "chain_before": term.chain_head}
        )
        await self._catch_up(term.commit)
        await self._publish()
        # A store that journals is behind what this replica knows of its own last term.
        findings = self._findings.load if self._store.durable else self._findings.join
        async with asyncio.TaskGroup() as group:  # nobody heals meanwhile: the two wait for different servers
            group.create_task(self._learn(), name="learn")
            group.create_task(self._take_over(epoch, findings), name="take-over")
        self._findings.show()
        self._look_everywhere("leadership")
        self._metrics.leading.set(1)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._loop.run(), name="scope-loop")
                group.create_task(self._housekeeping(epoch), name="housekeeping")
                group.create_task(self._anchor(), name="anchor")
                group.create_task(self._pauses.run(), name="pauses")
                group.create_task(self._judge(), name="meaning")
                group.create_task(self._relearn(), name="defaults")
        finally:
            self._metrics.leading.set(0)

    def _stand_down(self) -> None:
        """Take back what only a leader says: beside the next one's, a sum over all replicas would count it twice."""
        self._findings.hide()
        self._pauses.hide()
        self._stopped.hide()
        for gauge in (self._metrics.fights, self._metrics.fight_open, self._metrics.queue):
            gauge.set(0)

    async def _catch_up(self, commit: str) -> None:
        """Write nothing while the former leader's model may still be on its way to this replica (D10).

        A replica that has had that model in force went on from it. One that never had it is either behind or ahead,
        and a source without ancestry cannot tell which: so it waits for a bounded time, then enforces what it reads
        and says so.
        """
        if not commit or await self._reaches(commit):
            return
        model = self._in_force()
        here = model.commit if model else ""
        _log.error("leadership.other_model", lease=commit, here=here)
        await self._note("leadership.other_model", {"lease": commit, "here": here})

    async def _take_over(self, epoch: int, findings: Callable[[Sequence[Seen]], object]) -> None:
        """What the store knows of the past. Without it the present is judged all the same (D9).

        What a store that journals can tell may be less than all: it is asked again when it is back.
        """
        self._past_known = self._store.durable
        await self._pauses.load()
        try:
            await self._store.remember(EPOCH_KEY, str(epoch))
            findings(await self._store.open_findings())
            await self._namespaces.load(self._store)
            await self._settle(epoch)
        except StoreError as error:
            self._past_known = False
            _log.error("store.past_unknown", why=str(error))

    def _store_changed(self, state: StoreState) -> None:
        """What ended while records were lost stands open in the store: it is read again when it is back."""
        if state.lost:
            self._past_known = False

    async def _take_over_late(self, epoch: int) -> None:
        """The store is back: findings that were open before the term may be over, and paused is who was paused."""
        await self._take_over(epoch, self._join)
        if self._past_known:
            _log.info("store.past_known", epoch=epoch)
            self._look_everywhere("past")

    def _look_everywhere(self, trigger: str) -> None:
        """At all that the model governs, and where a finding is open of what it governs no more."""
        for scope in self._findings.scopes():
            self._loop.dirty.mark(scope, "open finding", urgent=False)
        self._loop.sweep(trigger)

    def _join(self, seen: Sequence[Seen]) -> None:
        if self._findings.join(seen):  # a store that can tell no more than this is asked each second
            self._joined()

    async def _settle(self, epoch: int) -> None:
        """Give every intent of former terms without an outcome one, by what the cluster holds now (D9)."""
        outcomes = []
        # Of this term's own the write is under way.
        cut_off = [intent for intent in await self._store.unsettled() if intent.epoch < epoch]
        lives = await self._look_at({intent.ref for intent in cut_off})
        for intent in cut_off:
            if intent.ref not in lives:
                continue
            live = lives[intent.ref]
            result = self._verdict(intent, live)
            version = live.resource_version if live else ""
            outcomes.append(Outcome(intent.id, result, self._clock.now(), version, "settled after a restart"))
            _log.info("intent.settled", intent=intent.id, verb=intent.verb, result=result.value)
        if outcomes:
            await self._store.finish(outcomes, ())

    async def _look_at(self, refs: Collection[ObjectRef]) -> dict[ObjectRef, Live | None]:
        """What etcd has of these, a few at a time; an object that cannot be read is not among them."""
        found: dict[ObjectRef, Live | None] = {}
        slots = asyncio.Semaphore(_LOOKS_AT_ONCE)

        async def look(ref: ObjectRef) -> None:
            async with slots:
                try:
                    found[ref] = await self._observer.refresh(ref)
                except ClusterError as error:
                    _log.warning("intent.unsettled", object=str(ref), why=str(error))

        async with asyncio.TaskGroup() as group:
            for ref in refs:
                group.create_task(look(ref), name=f"settle-{ref}")
        return found

    def _verdict(self, intent: Intent, live: Live | None) -> Result:
        """DONE where the cluster shows what the write would have left, FAILED where it shows that nothing was written.

        UNKNOWN where neither can be told: a step on the way to the canonical state, or somebody wrote afterwards.
        """
        if intent.verb == "delete":
            gone = live is None or intent.uid not in ("", live.uid)
            return Result.DONE if gone else Result.FAILED
        if live is None:
            return Result.FAILED if intent.verb == "create" else Result.UNKNOWN
        if live.resource_version == intent.resource_version:
            return Result.FAILED
        if intent.verb == "condemn":
            annotations = live.body()["metadata"].get("annotations") or {}
            return Result.DONE if CONDEMNED in annotations else Result.UNKNOWN
        model = self._in_force()
        governed = model.governed(scope_of(intent.ref)) if model else None
        desired = governed.objects.get(intent.ref) if governed else None
        return Result.DONE if desired is not None and desired.digest == live.digest else Result.UNKNOWN

    async def _housekeeping(self, epoch: int) -> None:
        """What may wait a second: a past that the store could not tell, namespace uids, fights that have gone quiet."""
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            if not self._past_known and self._store.durable:
                await self._take_over_late(epoch)
            unsaved = self._namespaces.unsaved()
            if unsaved and self._past_known:  # a uid of before must not be overwritten unseen
                try:
                    await self._store.remember_all(unsaved)
                    self._namespaces.saved(unsaved)
                except StoreGone as error:
                    _log.error("store.gone", why=str(error))
            now = self._clock.monotonic()
            for fight in self._breaker.cool(now):
                await self._note(
                    "fight.over",
                    {
                        "repairs": str(fight.repairs),
                        "loosened_seconds": f"{fight.loosened_seconds:.1f}",
                        "open_share": f"{fight.open_share:.2f}",
                    },
                    str(fight.ref),
                )
            fights = self._breaker.fights(now)
            self._metrics.fights.set(len(fights))
            self._metrics.fight_open.set(max((fight.open_share for fight in fights), default=0.0))

    async def _anchor(self) -> None:
        anchored = ""
        while True:
            await asyncio.sleep(ANCHOR_SECONDS)
            head = str(self._store.known_head)
            if head != anchored and self._store.known_head.seq:  # one that knows none must not wipe out what is noted
                _log.info("audit.head", head=head)
                await self._publish()
                anchored = head

    async def _note(self, kind: str, detail: dict[str, str], subject: str = "driftd") -> None:
        try:
            await self._store.note(kind, subject, detail)
        except StoreGone as error:
            _log.error("store.gone", why=str(error), note=kind, **detail)
