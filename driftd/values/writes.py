"""What driftd is about to do to the cluster, in which order, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from driftd.values.refs import Body, ObjectRef, Scope


@dataclass(frozen=True, slots=True)
class Create:
    """POST: the object must not exist."""

    ref: ObjectRef
    body: Body
    finding: str
    reason: str
    interim: bool = False  # made without its rules first: what comes back is not yet canonical


@dataclass(frozen=True, slots=True)
class Replace:
    """PUT of the whole object, bound to the uid and resourceVersion that were judged.

    Both are empty where an interim write of the same object goes before: the engine fills them in from its answer.
    """

    ref: ObjectRef
    body: Body
    uid: str
    resource_version: str
    finding: str
    reason: str
    interim: bool = False  # a tightening step on the way: what comes back is not yet canonical


@dataclass(frozen=True, slots=True)
class Condemn:
    """The first half of a deletion: a PUT that empties the object and marks it condemned (D10)."""

    ref: ObjectRef
    body: Body
    uid: str
    resource_version: str
    finding: str
    reason: str


@dataclass(frozen=True, slots=True)
class Delete:
    """The second half: DELETE of exactly the version that the condemning PUT returned.

    `resource_version` is empty while its `Condemn` has not been written; the engine fills it in from the answer.
    """

    ref: ObjectRef
    uid: str
    resource_version: str
    finding: str
    reason: str


Write: TypeAlias = Create | Replace | Condemn | Delete


@dataclass(frozen=True, slots=True)
class Plan:
    """Writes of one scope in never-looser order (D7): executed one by one, stopped at the first refusal."""

    scope: Scope
    writes: tuple[Write, ...] = ()
    held: tuple[str, ...] = ()  # why findings stay unrepaired (report mode, guard, breaker), one sentence each
    waiting: Mapping[ObjectRef, str] = field(default_factory=dict)
    """Objects that are not repaired before a person has seen to another one, with the sentence that names it."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A write that is durable before it leaves (D9). `id` is unique and ordered by time."""

    id: str
    finding: str
    ref: ObjectRef
    verb: str  # create | replace | condemn | delete
    uid: str
    resource_version: str
    epoch: int
    commit: str
    at: datetime


class Result(StrEnum):
    """What came of a write."""

    DONE = "done"  # read back and equal
    CONFLICT = "conflict"  # the object moved on (409, 404): look afresh, decide afresh
    REFUSED = "refused"  # 403, 422, admission: no retry without a change
    FENCED = "fenced"  # the lease's deadline passed or a newer epoch rules
    DIFFERS = "differs"  # accepted, but what came back is not what was sent
    FAILED = "failed"  # 429, 5xx, network: try again later
    UNKNOWN = "unknown"  # no answer: the next look tells


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an intent."""

    intent: str
    result: Result
    at: datetime
    resource_version: str = ""
    message: str = ""
