"""Orphaned namespaces: their environment left the model, their last canonical state is kept, in the store as well."""

import asyncio
import sys
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec
import structlog

from driftd.compile import GovernedNamespace, Mode, Workload
from driftd.store import Store, StoreError
from driftd.values import Desired, Digest, ObjectRef, Origin, pack

_log = structlog.get_logger()

KEY = "orphaned/"
"""Prefix of the remembered values; the rest is the namespace's name."""
RETIRED = "retired/"
"""Prefix of what is remembered of namespaces that somebody has let go on purpose, until a model governs them again.

Evidence of it is no proof: evidence is pruned, and stamped by the clock of whoever wrote it.
"""


class NotOrphaned(LookupError):
    """Only what the model has let go can be retired."""

    def __init__(self, namespace: str, *, governed: bool) -> None:
        why = "is in the model; take its environment out of the model first" if governed else "is not held as an orphan"
        super().__init__(f"{namespace} {why}: retiring is for namespaces whose environment is gone from the model")


class UnreadableOrphan(ValueError):
    """A remembered orphan is not what `dump` wrote."""


class KeptObject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Desired with its JSON as it is, whatever it is packed with while it is in memory."""

    ref: ObjectRef
    raw: bytes
    digest: Digest
    origin: Origin


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A GovernedNamespace whose objects are a list: JSON has no keys but strings."""

    name: str
    tenant: str
    environment: str
    lifecycle: Literal["create", "adopt"]
    mode: Mode
    kind_modes: dict[str, Mode]
    tenant_policies: Literal["never", "inertOrTightening", "withinEnvironment"]
    closed: bool
    origin: Origin
    objects: tuple[KeptObject, ...]
    workloads: tuple[Workload, ...] = ()
    plan: str = ""


def kept_of(governed: GovernedNamespace) -> Kept:
    """A governed namespace in the shape in which it is stored."""
    return Kept(
        name=governed.name,
        tenant=governed.tenant,
        environment=governed.environment,
        lifecycle=governed.lifecycle,
        mode=governed.mode,
        kind_modes=dict(governed.kind_modes),
        tenant_policies=governed.tenant_policies,
        closed=governed.closed,
        origin=governed.origin,
        objects=tuple(KeptObject(one.ref, one.raw, one.digest, one.origin) for one in governed.objects.values()),
        workloads=governed.workloads,
        plan=governed.plan,
    )


def restored(kept: Kept) -> GovernedNamespace:
    """The reverse of `kept_of`."""
    return GovernedNamespace(
        name=kept.name,
        tenant=kept.tenant,
        environment=kept.environment,
        lifecycle=kept.lifecycle,
        mode=kept.mode,
        kind_modes=kept.kind_modes,
        tenant_policies=kept.tenant_policies,
        closed=kept.closed,
        origin=kept.origin,
        objects={one.ref: one for one in (_shared(one, kept.origin) for one in kept.objects)},
        workloads=kept.workloads,
        plan=kept.plan,
    )


def _shared(kept: KeptObject, origin: Origin) -> Desired:
    """The object with words and origin that are there once: decoded for each of 15,000 they are a third of all."""
    group, kind, namespace, name = (
        sys.intern(word) for word in (kept.ref.group, kept.ref.kind, kept.ref.namespace, kept.ref.name)
    )
    same = origin if kept.origin == origin else kept.origin
    return Desired(ObjectRef(group, kind, namespace, name), pack(kept.raw), kept.digest, same)


def dump(governed: GovernedNamespace) -> str:
    """The namespace as a JSON value."""
    return msgspec.json.encode(kept_of(governed)).decode()


def load(value: str) -> GovernedNamespace:
    """The reverse of `dump`. Raises UnreadableOrphan."""
    try:
        return restored(msgspec.json.decode(value, type=Kept))
    except msgspec.MsgspecError as error:
        raise UnreadableOrphan(f"a remembered orphaned namespace cannot be read: {error}") from error


class Orphans:
    """Which namespaces are held as orphans: what this replica holds, kept in step with what the store has.

    `unknown` says why the store could not tell, empty where it could: then namespaces may stand that nobody governs.
    `unusable` are those of which it has a record that cannot be read.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.unknown = ""
        self.unusable: frozenset[str] = frozenset()

    async def recall(self) -> dict[str, GovernedNamespace]:
        """The orphans that the store has, by name. Raises `StoreError`, and `unknown` says so until it answers."""
        try:
            values, retired = await self._store.recall_all(KEY), await self.retired()
        except StoreError as error:
            if not self.unknown:
                _log.error("model.orphans.unknown", why=str(error))
            self.unknown = str(error)
            raise
        self.unknown = ""
        found, unusable = {}, set()
        for key, value in values.items():
            name = key.removeprefix(KEY)
            if name in retired:  # by another replica, while one that knew nothing of it wrote it down again
                continue
            try:
                found[name] = load(value)
            except UnreadableOrphan as error:
                unusable.add(name)
                _log.error("model.orphan.unusable", namespace=name, why=str(error))
        self.unusable = frozenset(unusable)
        return found

    async def retired(self) -> frozenset[str]:
        """Those that somebody has let go and no model has governed since: nobody holds them. Raises `StoreError`."""
        return frozenset(key.removeprefix(RETIRED) for key in await self._store.recall_all(RETIRED))

    def changes(
        self,
        was: Mapping[str, GovernedNamespace],
        now: Mapping[str, GovernedNamespace],
        governed_again: Iterable[str],
    ) -> dict[str, str | None]:
        """What the store has to remember, and to forget, when `now` takes the place of `was`."""
        self.unusable -= now.keys()
        gone: dict[str, str | None] = {KEY + name: None for name in was if name not in now}
        gone |= {RETIRED + name: None for name in governed_again}
        return gone | {KEY + name: dump(one) for name, one in now.items() if name not in was}

    async def retire(self, kept: GovernedNamespace, by: str, reason: str) -> dict[str, str]:
        """Forget one until a model governs it again, and remember that for every other replica. Raises `StoreGone`."""
        detail = {"by": by, "reason": reason, "tenant": kept.tenant, "objects": str(len(kept.objects))}
        values = {KEY + kept.name: None, RETIRED + kept.name: msgspec.json.encode(detail).decode()}
        await asyncio.gather(self._store.remember_all(values), self._store.note("namespace.retired", kept.name, detail))
        return detail

    async def still(self, held: Mapping[str, GovernedNamespace]) -> Mapping[str, GovernedNamespace]:
        """Those of `held` that nobody has retired.

        One that the store has no more counts as retired only where the store says so. Else it was replaced, or put
        back from a backup: it is given back what it lost.
        """
        try:
            known, retired = await self._store.recall_all(KEY), await self.retired()
            kept = {
                KEY + name: dump(one) for name, one in held.items() if name not in retired and KEY + name not in known
            }
            if kept:
                _log.error("model.orphans.kept", namespaces=[name.removeprefix(KEY) for name in kept])
                await self._store.remember_all(kept)
        except StoreError as error:
            _log.error("store.past_unknown", why=str(error))
            return held
        return {name: one for name, one in held.items() if name not in retired}
