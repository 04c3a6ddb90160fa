"""What the cluster side of a comparison is known to be, and what is not known (D6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from driftd.values import Live, ObjectRef, Scope


class KindState(StrEnum):
    """How far a kind's mirror may be believed. Only READY allows a judgement: the rest is *unknown*, never "clean"."""

    ABSENT = "absent"  # the API server does not serve the kind
    SYNCING = "syncing"  # no complete list yet, or a new one is under way after a gap
    READY = "ready"  # a complete list and a live watch stand behind it
    BLIND = "blind"  # it was served, and cannot be read now (403, 5xx, stalled watch)


@dataclass(frozen=True, slots=True)
class LiveScope:
    """One scope as the mirrors hold it.

    `objects` holds every live object of the governed kinds in the scope (a namespace's own Namespace object among
    them). `not_ready` names the kinds whose mirror is not READY, by `kind_name` (`NetworkPolicy`, or
    `NetworkPolicy.projectcalico.org`): their objects may be missing from `objects` without meaning anything.
    `evaluated` are those of kinds that are judged and never written, `unknown` are instances of kinds that bear policy
    and are not understood. `proved_absent` are refs that a GET from etcd answered with 404 *after* the mirror lost
    them; nothing else may be called missing. `namespace_uid_known` is the uid this namespace had when it was last found
    canonical, None if it was never seen.
    """

    scope: Scope
    objects: Mapping[ObjectRef, Live]
    not_ready: tuple[str, ...] = ()
    evaluated: tuple[Live, ...] = ()
    unknown: tuple[Live, ...] = ()
    proved_absent: frozenset[ObjectRef] = frozenset()
    namespace_uid_known: str | None = None
