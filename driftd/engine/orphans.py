"""Orphaned namespaces as remembered values: their environment left the model, their last canonical state is kept."""

from typing import Literal

import msgspec

from driftd.compile import GovernedNamespace, Mode
from driftd.values import Desired, Origin

KEY = "orphaned/"
"""Prefix of the remembered values; the rest is the namespace's name."""


class UnreadableOrphan(ValueError):
    """A remembered orphan is not what `dump` wrote."""


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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


def dump(governed: GovernedNamespace) -> str:
    """The namespace as a JSON value."""
    kept = _Kept(
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
    )
    return msgspec.json.encode(kept).decode()


def load(value: str) -> GovernedNamespace:
    """The reverse of `dump`. Raises UnreadableOrphan."""
    try:
        kept = msgspec.json.decode(value, type=_Kept)
    except msgspec.MsgspecError as error:
        raise UnreadableOrphan(f"a remembered orphaned namespace cannot be read: {error}") from error
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
        objects={desired.ref: desired for desired in kept.objects},
    )
