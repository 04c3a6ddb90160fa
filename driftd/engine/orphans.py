"""Orphaned namespaces as remembered values: their environment left the model, their last canonical state is kept."""

import sys
from typing import Literal

import msgspec
import structlog

from driftd.compile import GovernedNamespace, Mode, Workload
from driftd.store import Store, StoreError
from driftd.values import Desired, ObjectRef, Origin

_log = structlog.get_logger()

KEY = "orphaned/"
"""Prefix of the remembered values; the rest is the namespace's name."""


class NotOrphaned(LookupError):
    """Only what the model has let go can be retired."""

    def __init__(self, namespace: str, *, governed: bool) -> None:
        why = "is in the model; take its environment out of the model first" if governed else "is not held as an orphan"
        super().__init__(f"{namespace} {why}: retiring is for namespaces whose environment is gone from the model")


class UnreadableOrphan(ValueError):
    """A remembered orphan is not what `dump` wrote."""


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
    objects: tuple[Desired, ...]
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
        objects=tuple(governed.objects.values()),
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
        objects={one.ref: one for one in (_shared(desired, kept.origin) for desired in kept.objects)},
        workloads=kept.workloads,
        plan=kept.plan,
    )


def _shared(desired: Desired, origin: Origin) -> Desired:
    """The same with words and origin that are kept once: decoded for each of 15,000 objects they are a third of all."""
    group, kind, namespace, name = (
        sys.intern(word) for word in (desired.ref.group, desired.ref.kind, desired.ref.namespace, desired.ref.name)
    )
    same = origin if desired.origin == origin else desired.origin
    return Desired(ObjectRef(group, kind, namespace, name), desired.raw, desired.digest, same)


def dump(governed: GovernedNamespace) -> str:
    """The namespace as a JSON value."""
    return msgspec.json.encode(kept_of(governed)).decode()


def load(value: str) -> GovernedNamespace:
    """The reverse of `dump`. Raises UnreadableOrphan."""
    try:
        return restored(msgspec.json.decode(value, type=Kept))
    except msgspec.MsgspecError as error:
        raise UnreadableOrphan(f"a remembered orphaned namespace cannot be read: {error}") from error


async def remembered(store: Store) -> dict[str, GovernedNamespace]:
    """The orphans that the store has, by name; what it cannot give, and what cannot be read, is told and left out."""
    found = {}
    try:
        values = await store.recall_all(KEY)
    except StoreError as error:
        _log.error("store.past_unknown", why=str(error))
        return {}
    for key, value in values.items():
        try:
            found[key.removeprefix(KEY)] = load(value)
        except UnreadableOrphan as error:
            _log.error("model.orphan.unusable", namespace=key.removeprefix(KEY), why=str(error))
    return found
