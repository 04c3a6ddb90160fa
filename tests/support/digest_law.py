"""The law of digests, held on a real API server: two stored objects have one digest exactly if they are one state.

Every single change that the schema allows is made to a few objects, and random changes one after another; what the
server takes is read back and compared with all the rest. Who says which states are one is `tests.oracle.sameness`.
"""

import asyncio
import itertools
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from driftd.policy.kinds import KINDS, Kind, digest_of
from driftd.values import Digest
from tests.oracle.sameness import SETS, KindId, Path, meaning, servers, why_not
from tests.support import calico_crds
from tests.support.changes import Changes
from tests.support.kube import Body, Kube, KubeError
from tests.support.schemas import Node, schema_of
from tests.support.subjects import COVERAGE, ITSELF, NAMED, SPACE, Subject

_AT_ONCE = 8
_REFUSED = frozenset({400, 422})
_KEYS: tuple[Path, ...] = (("metadata", "labels", "*"), ("metadata", "annotations", "*"))


@dataclass(frozen=True)
class State:
    """One object that the server took. `change` says what was changed of the base with this index."""

    base: int
    change: str
    sent: Body
    stored: Body
    digest: Digest

    @property
    def spelling(self) -> str:
        """What was stored, word for word, without what the server adds."""
        written = {key: value for key, value in self.stored.items() if not servers(("", ""), (key,))}
        metadata = {
            key: value for key, value in written["metadata"].items() if not servers(("", ""), ("metadata", key))
        }
        return json.dumps({**written, "metadata": metadata}, sort_keys=True)

    def __str__(self) -> str:
        return f"base {self.base}, {self.change}: {self.spelling}"


@dataclass
class Tally:
    """What a run came to. `lacking`: fields for which nothing was proved; `faults`: the law broken."""

    kind: KindId
    states: int = 0
    refused: int = 0
    meanings: int = 0
    respelled: int = 0
    fields: int = 0
    lacking: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return ".".join(part for part in reversed(self.kind) if part)

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.states} states stored, {self.refused} refused; {self.fields} fields, "
            f"{self.meanings} meanings, {self.respelled} states spelled otherwise than another of their meaning"
        )


async def prepare(kube: Kube) -> None:
    """Calico's kinds, and the namespaces of the subjects."""
    await calico_crds.install(kube)
    await kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": one}} for one in (SPACE, ITSELF))


async def clear(kube: Kube) -> None:
    """Take all of it away; a namespace that is already on its way is."""
    await calico_crds.remove(kube)
    for one in (SPACE, ITSELF):
        if await kube.find("Namespace", "", one) is not None:
            await kube.delete("Namespace", "", one)


async def hold(
    kube: Kube,
    subject: Subject,
    chance: Random,
    *,
    chains: int,
    few: int = 1,
    wide: bool = False,
    kind: Kind | None = None,
) -> Tally:
    """Store what follows from a subject's bases and hold the law.

    `few` and `wide` as for `Changes`; changes of other bases than the rich ones come in `chains` alone unless `wide`.
    `kind` is who makes the digests, the registry's unless said.
    """
    changes = Changes(subject.kind, await _served(kube, subject), subject.words, few, wide)
    run = _Run(kube, subject, changes, kind or KINDS[subject.kind])
    await run.store_bases()
    await run.store(run.single_changes())
    await run.store(run.chains(chains, chance))
    tally = run.judged()
    tally.faults += await run.read_again_and_remove()
    return tally


async def _served(kube: Kube, subject: Subject, seconds: float = 60.0) -> Node:
    """The schema; a CRD's is published some time after the kind is served."""
    async with asyncio.timeout(seconds):
        while (found := await schema_of(kube, subject.group, subject.version, subject.kind[1])) is None:
            await asyncio.sleep(0.2)
    return found


async def _a_few_at_a_time(
    wanted: Iterable[tuple[Any, ...]], deed: Callable[..., Awaitable[None]], at_once: int
) -> None:
    left = iter(wanted)

    async def worker() -> None:
        for one in left:
            await deed(*one)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())


@contextmanager
def _gone_is_gone() -> Iterator[None]:
    """What somebody else has deleted is gone already."""
    try:
        yield
    except KubeError as error:
        if error.status != 404:
            raise


class _Run:
    def __init__(self, kube: Kube, subject: Subject, changes: Changes, kind: Kind) -> None:
        self._kube = kube
        self._subject = subject
        self._changes = changes
        self._kind = kind
        self._bases: list[State] = []
        self._states: list[State] = []
        self._numbers = itertools.count()
        self._refused = 0

    # -- storing ------------------------------------------------------------------------------------------------------

    async def store_bases(self) -> None:
        for index, base in enumerate(self._subject.bases):
            state = await self._stored(index, "as it is", base)
            assert state is not None, f"the server refuses base {index} of {self._subject.kind}"
            self._bases.append(state)
        self._states += self._bases

    def single_changes(self) -> Iterator[tuple[int, str, Body]]:
        for index, base in enumerate(self._subject.bases[: None if self._changes.wide else self._subject.rich]):
            for change in self._changes.of(base):
                yield index, str(change), change.applied(base)

    def chains(self, count: int, chance: Random) -> Iterator[tuple[int, str, Body]]:
        """Two to six changes of a base one after another."""
        for _ in range(count):
            index = chance.randrange(len(self._subject.bases))
            body, told = self._subject.bases[index], []
            for _ in range(chance.randrange(2, 7)):
                change = chance.choice(list(self._changes.of(body)))
                body = change.applied(body)
                told.append(str(change))
            yield index, "; ".join(told), body

    async def store(self, wanted: Iterator[tuple[int, str, Body]]) -> None:
        """A few at a time; those of one object one after another."""

        async def one(index: int, told: str, body: Body) -> None:
            state = await self._stored(index, told, body)
            if state is None:
                self._refused += 1
            else:
                self._states.append(state)

        await _a_few_at_a_time(wanted, one, 1 if self._subject.is_namespace else _AT_ONCE)

    async def _stored(self, index: int, told: str, base: Body) -> State | None:
        """The object as the server gives it back; None where it refuses it."""
        where = self._subject.collection
        try:
            if self._subject.is_namespace:
                sent = self._subject.body(base, ITSELF)
                stored = await self._kube.request("PUT", f"{where}/{ITSELF}", body=sent)
            else:
                sent = self._subject.body(base, f"state-{next(self._numbers)}")
                stored = await self._kube.request("POST", where, body=sent)
        except KubeError as error:
            if error.status not in _REFUSED:
                raise
            return None
        return State(index, told, sent, stored, self._digest(stored))

    async def read_again_and_remove(self) -> list[str]:
        """What a later read, and one while a deletion is under way, has another digest for."""
        known = {state.stored["metadata"]["uid"]: state for state in self._states}
        faults = []
        for deed in (self._delete, self._release):
            lives = await self._lives()
            for live in lives:
                held = known.get(live["metadata"]["uid"])
                if held is not None and self._digest(live) != held.digest:
                    faults.append(f"read once more it has another digest: {held}")
            await _a_few_at_a_time(((live["metadata"]["name"],) for live in lives), deed, _AT_ONCE)
        return faults

    async def _lives(self) -> list[Body]:
        """All objects that there are still; the garbage collector may have taken some."""
        where = self._subject.collection
        if self._subject.is_namespace:
            live = await self._kube.find("Namespace", "", ITSELF)
            return [live] if live is not None else []
        items: list[Body] = []
        more = ""
        while True:
            page = await self._kube.request("GET", f"{where}?limit=200{more}")
            items += page["items"]
            if not (token := page["metadata"].get("continue")):
                return [one for one in items if one["metadata"]["name"].startswith("state-")]
            more = f"&continue={token}"

    async def _delete(self, name: str) -> None:
        with _gone_is_gone():
            await self._kube.request("DELETE", f"{self._subject.collection}/{name}")

    async def _release(self, name: str) -> None:
        """Take off the finalizers of what is being deleted."""
        where = f"{self._subject.collection}/{name}"
        free: Body = {"metadata": {"finalizers": None}}
        with _gone_is_gone():
            await self._kube.request("PATCH", where, body=free, content_type="application/merge-patch+json")

    # -- judging ------------------------------------------------------------------------------------------------------

    def judged(self) -> Tally:
        tally = Tally(self._subject.kind, len(self._states), self._refused)
        by_digest: dict[Digest, tuple[Any, State]] = {}
        by_meaning: dict[Any, tuple[Digest, State]] = {}
        spellings: dict[Any, set[str]] = defaultdict(set)
        for state in self._states:
            digest, means = state.digest, meaning(self._subject.kind, state.stored, NAMED)
            if digest != self._digest(state.sent):
                tally.faults.append(f"stored with another digest than it was sent with: {state}\n  {state.sent}")
            base = self._bases[state.base]
            if self._digest(self._kind.merged(state.stored, base.sent, COVERAGE)) != base.digest:
                tally.faults.append(f"a repair does not make it as base {state.base} is: {state}")
            seen_as, same = by_digest.setdefault(digest, (means, state))
            if seen_as != means:
                tally.faults.append(f"two states, one digest:\n  {same}\n  {state}")
            seen_with, same = by_meaning.setdefault(means, (digest, state))
            if seen_with != digest:
                tally.faults.append(f"one state, two digests:\n  {same}\n  {state}")
            spellings[means].add(state.spelling)
        tally.meanings = len(by_meaning)
        tally.respelled = sum(len(found) - 1 for found in spellings.values())
        self._account_for_fields(tally)
        return tally

    def _account_for_fields(self, tally: Tally) -> None:
        """Each field that counts changed the digest when it alone was changed; each other one left it as it was."""
        changed: set[Path] = set()
        left: set[Path] = set()
        for state in self._states:
            base = self._bases[state.base]
            if (path := self._changes.between(base.stored, state.stored)) is not None:
                (left if base.digest == state.digest else changed).add(path)
        for path in self._changes.schema.leaves():
            if servers(self._subject.kind, path):
                continue
            tally.fields += 1
            counts = not why_not(self._subject.kind, path)
            if counts and path not in changed:
                tally.lacking.append(f"{'.'.join(path)}: no change of it alone was stored that changed the digest")
            if not counts and path not in left:
                tally.lacking.append(f"{'.'.join(path)}: no change of it alone was stored")
            if not counts and path in changed:
                tally.faults.append(f"{'.'.join(path)} does not count and changed the digest")
            if path in _KEYS and path not in left and self._subject.kind not in SETS:
                tally.lacking.append(f"{'.'.join(path)}: none of a foreign key was stored")

    def _digest(self, body: Body) -> Digest:
        return digest_of(self._kind, body, COVERAGE)
