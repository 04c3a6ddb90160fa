"""Execute a plan: intents first, then write by write, stopped at the first that is not done."""

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from driftd.cluster import Answer, ClusterError, Writer, completed
from driftd.drift import cut_anew
from driftd.engine.observe import Observer
from driftd.policy.kinds import (
    Coverage,
    MalformedObject,
    kind_of,
    labels_are_free,
    slim_condemned,
    slim_repair,
    taken_off,
)
from driftd.store import EntryRefused, Store, StoreGone
from driftd.telemetry import Attributes, Metrics, Trace, names
from driftd.values import (
    Clock,
    Condemn,
    Create,
    Delete,
    Finding,
    Intent,
    Live,
    ObjectRef,
    Outcome,
    Plan,
    Replace,
    Result,
    Write,
)

_log = structlog.get_logger()

_LARGE = 64 * 1024
"""Bytes that no honest object has; of ten times as many an API server takes a quarter of a second for each write."""
_VERBS: Mapping[type, str] = {Create: "create", Replace: "replace", Condemn: "condemn", Delete: "delete"}


@dataclass(slots=True)
class Acts:
    """What came of a plan. `stopped_by` is the answer that ended it early, `stopped_at` the write it was about.

    `repaired` has the number of writes of each object, `half` the version at which it was left closed, empty if it was
    not.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    repaired: dict[ObjectRef, int] = field(default_factory=dict)
    half: dict[ObjectRef, str] = field(default_factory=dict)
    stopped_by: Answer | None = None
    stopped_at: Write | None = None
    waiting_for_store: bool = False


class Actor:
    """Carries plans to the API server.

    Args:
        new_id: unique ids that sort by time, for intents.
        epoch, commit, coverage: of the present term and the model in force.
        told: called after each write that was done, for Events and the like; must not block.
    """

    def __init__(
        self,
        *,
        writer: Writer,
        store: Store,
        observer: Observer,
        clock: Clock,
        metrics: Metrics,
        new_id: Callable[[], str],
        epoch: Callable[[], int],
        commit: Callable[[], str],
        coverage: Callable[[], Coverage],
        told: Callable[[Write, Live | None], None],
    ) -> None:
        self._writer = writer
        self._store = store
        self._observer = observer
        self._clock = clock
        self._metrics = metrics
        self._new_id = new_id
        self._epoch = epoch
        self._commit = commit
        self._coverage = coverage
        self._told = told

    async def execute(
        self,
        plan: Plan,
        opened: Sequence[Finding],
        trace: Trace,
        *,
        abridged: Collection[ObjectRef],
        contested: Collection[ObjectRef],
        tolerant: bool,
    ) -> Acts:
        """Record `opened` and the intents, durably and in one transaction, then write (D9).

        Of `abridged` objects the plan did not know all: what is foreign to it is read before each write. So it is of
        `contested` ones, which others keep writing: they are written whatever their version is, where that is safe.
        Where the scope is `tolerant`, an object that the model lacks may stand for what it does, so that another one of
        its name is judged anew.

        While the store is gone, what restores the canonical state goes on; the final DELETE waits, and so does
        everything planned after it.
        """
        acts = Acts()
        writes = plan.writes
        if not self._store.durable:
            writes = tuple(itertools.takewhile(lambda write: not isinstance(write, Delete), writes))
            acts.waiting_for_store = len(writes) < len(plan.writes)
        epoch, commit = self._epoch(), self._commit()
        intents = [self._intent(write, epoch) for write in writes]
        recorded = True
        try:
            await self._store.begin(opened, intents)
        except (StoreGone, EntryRefused) as error:
            recorded = False
            _log.error(
                "store.not_recorded", why=str(error), writes=[f"{_VERBS[type(write)]} {write.ref}" for write in writes]
            )
        versions: dict[ObjectRef, tuple[str, str]] = {}
        for write, intent in zip(writes, intents, strict=True):
            if self._commit() != commit:  # what this plan opens may no longer be canonical: look again
                break
            if isinstance(write, Delete) and not (recorded and self._store.durable):  # it may have gone meanwhile
                acts.waiting_for_store = True
                break
            ready = _bound(write, versions)
            with trace.stage(names.WRITE, _named(ready, intent)) as stage:
                latest = await self._latest(
                    ready, abridged=write.ref in abridged, contested=write.ref in contested, tolerant=tolerant
                )
                if self._commit() != commit:  # the object was slow to come
                    break
                answer = latest if isinstance(latest, Answer) else await self._send(latest, epoch)
                stage.note(_answered(ready if isinstance(latest, Answer) else latest.write, answer))
            self._account(acts, ready, intent, answer)
            await self._mirror(ready, answer, versions)
            if answer.result is not Result.DONE and not _is_held(ready, answer):
                acts.stopped_by, acts.stopped_at = answer, write
                break
            self._told(ready, answer.live)
        self._leave(acts, intents[len(acts.outcomes) :])
        return acts

    async def _latest(self, write: Write, *, abridged: bool, contested: bool, tolerant: bool) -> "_Ready | Answer":
        """A write as it is to be sent, or why it is not.

        Where the whole object is another version by now, it is sent as it is and refused for that. Not so a contested
        one, which says what has to be whatever was there: it is made anew of what there is by now.
        """
        if not (isinstance(write, Replace | Condemn) and (abridged or contested)):
            return _Ready(write)
        try:
            whole = await self._observer.refresh(write.ref)
        except ClusterError as error:
            return Answer(Result.FAILED, message=f"not sent: {write.ref} could not be read whole: {error}")
        if whole is None:
            return Answer(Result.CONFLICT, message=f"not sent: {write.ref} is gone")
        if whole.uid != write.uid and not (contested and _means_the_name(write, tolerant=tolerant)):
            return Answer(Result.CONFLICT, message=f"not sent: {write.ref} is another object by now")
        if contested:
            return self._renewed(write, whole)
        if whole.resource_version == write.resource_version:
            return _Ready(replace(write, body=completed(write.body, whole)))
        return _Ready(write)

    def _renewed(self, write: Replace | Condemn, whole: Live) -> "_Ready":
        """The same write of the version that there is now, with all that is foreign as it stands there (D3).

        A large object is made slim: the more there is to store, the longer the others have to come between.
        """
        kind, there = kind_of(write.ref), whole.body()
        try:
            match write:
                case Condemn():
                    full = kind.emptied(there)
                case Replace(interim=interim):
                    wanted = cut_anew(write, there, self._coverage()) if interim else write.body
                    full = kind.merged(there, wanted, self._coverage())
        except MalformedObject:
            return _Ready(write)
        body = full
        if whole.size > _LARGE:
            body = (slim_condemned if isinstance(write, Condemn) else slim_repair)(write.ref, full)
        unbound = goes_by_uid(write.ref)
        said = f"{f'by uid {whole.uid}, read ' if unbound else ''}at version {whole.resource_version}"
        return _Ready(
            replace(write, body=body, uid=whole.uid, resource_version=whole.resource_version),
            unbound=unbound,
            said=", ".join(filter(None, (said, taken_off(full, body)))),
        )

    async def _send(self, ready: "_Ready", epoch: int) -> Answer:
        answer = await self._writer.execute(ready.write, epoch, unbound=ready.unbound)
        if answer.result is not Result.DONE:
            return answer
        return replace(answer, message=", ".join(filter(None, (ready.said, answer.message))))

    def _leave(self, acts: Acts, intents: Sequence[Intent]) -> None:
        """Account for intents whose writes were not sent, because the plan ended early: none may stay open (D9)."""
        at = self._clock.now()
        acts.outcomes += [
            Outcome(intent.id, Result.FAILED, at, "", "not sent: the plan ended early") for intent in intents
        ]

    def _intent(self, write: Write, epoch: int) -> Intent:
        return Intent(
            id=self._new_id(),
            finding=write.finding,
            ref=write.ref,
            verb=_VERBS[type(write)],
            uid="" if isinstance(write, Create) else write.uid,
            resource_version="" if isinstance(write, Create) else write.resource_version,
            epoch=epoch,
            commit=self._commit(),
            at=self._clock.now(),
        )

    def _account(self, acts: Acts, write: Write, intent: Intent, answer: Answer) -> None:
        version = answer.live.resource_version if answer.live else ""
        acts.outcomes.append(Outcome(intent.id, answer.result, self._clock.now(), version, answer.message))
        self._metrics.writes.labels(write.ref.kind, intent.verb, answer.result.value).inc()
        if answer.result is Result.DONE:
            acts.repaired[write.ref] = acts.repaired.get(write.ref, 0) + 1
            acts.half[write.ref] = version if _closes_only(write) else ""
        level = _log.info if answer.result is Result.DONE else _log.warning
        level(
            "write.done" if answer.result is Result.DONE else "write.not_done",
            verb=intent.verb,
            kind=write.ref.kind,
            namespace=write.ref.namespace,
            name=write.ref.name,
            result=answer.result.value,
            message=answer.message,
            intent=intent.id,
            finding=write.finding,
            epoch=intent.epoch,
        )

    async def _mirror(self, write: Write, answer: Answer, versions: dict[ObjectRef, tuple[str, str]]) -> None:
        """Let the mirror know at once what the answer proves; after a conflict, look afresh."""
        match answer.result:
            case Result.DONE | Result.DIFFERS if answer.live is not None:
                self._observer.absorb(answer.live)
                versions[write.ref] = (answer.live.uid, answer.live.resource_version)
            case Result.DONE if isinstance(write, Delete):
                await self._refresh(write.ref)  # gone, or held by a finalizer: the server knows
            case Result.CONFLICT | Result.UNKNOWN:
                await self._refresh(write.ref)
            case _:
                pass

    async def _refresh(self, ref: ObjectRef) -> None:
        try:
            await self._observer.refresh(ref)
        except ClusterError as error:
            _log.warning("observe.failed", kind=ref.kind, namespace=ref.namespace, name=ref.name, why=str(error))


def goes_by_uid(ref: ObjectRef) -> bool:
    """Whether a PUT may leave out the version of what it replaces.

    So it is where nothing decides anything but what driftd writes, and where the API server takes such a PUT, which it
    does for no kind of a CustomResourceDefinition.
    """
    return labels_are_free(ref) and not kind_of(ref).dialect


@dataclass(frozen=True, slots=True)
class _Ready:
    """A write as it leaves; `unbound` names no version, `said` tells how it is other than what was planned."""

    write: Write
    unbound: bool = False
    said: str = ""


def _closes_only(write: Write) -> bool:
    """Whether a write is but the first half of a repair: what opens the object, or takes it away, comes after it."""
    match write:
        case Create(interim=True) | Replace(interim=True) | Condemn():
            return True
        case _:
            return False


def _means_the_name(write: Replace | Condemn, *, tolerant: bool) -> bool:
    """Whether a contested write holds for whatever object bears the name by now: none other may stand there."""
    return goes_by_uid(write.ref) and (isinstance(write, Replace) or not tolerant)


def _named(write: Write, intent: Intent) -> Attributes:
    return {
        names.NAMESPACE: write.ref.namespace,
        names.OBJECT_KIND: write.ref.kind,
        names.OBJECT_NAME: write.ref.name,
        names.VERB: intent.verb,
        names.FINDING: write.finding,
        names.EPOCH: intent.epoch,
    }


def _answered(sent: Write, answer: Answer) -> Attributes:
    """What came of a write: from which version of the object to which, where there is one."""
    found = {names.RESULT: answer.result.value}
    if not isinstance(sent, Create):
        found[names.VERSION_BEFORE] = sent.resource_version
    if answer.live is not None:
        found[names.VERSION_AFTER] = answer.live.resource_version
    return found


def _is_held(write: Write, answer: Answer) -> bool:
    """The server took the deletion, and a finalizer keeps the object, which is empty: the plan goes on."""
    return isinstance(write, Delete) and answer.result is Result.DIFFERS and answer.live is not None


def _bound(write: Write, versions: Mapping[ObjectRef, tuple[str, str]]) -> Write:
    """A write that follows another one of the same object is bound to the very version that one made (D10)."""
    if isinstance(write, Replace | Condemn | Delete) and not write.resource_version:
        uid, version = versions[write.ref]
        return replace(write, uid=uid, resource_version=version)
    return write
