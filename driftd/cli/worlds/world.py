"""A world that questions of reach are asked of: a snapshot, whose namespaces are, and what could not be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from driftd.policy.reach import Dialect, Snapshot, Tenancy
from driftd.values import ObjectRef


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that bears on who can reach whom and could not be read. `content` is its digest."""

    where: str
    why: str
    content: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service: what callers dial, and the pod port behind it (a number, or a name the pods give)."""

    name: str
    protocol: str
    port: int
    target: int | str


@dataclass(frozen=True, slots=True)
class ServiceFace:
    """A Service by the labels of the pods behind it (empty: it selects none), and its virtual addresses."""

    selector: Mapping[str, str]
    ports: tuple[ServicePort, ...]
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelService:
    """A service of the model: its pods carry these labels and run as this account."""

    labels: Mapping[str, str]
    account: str


@dataclass(frozen=True, slots=True)
class World:
    """What one source says.

    `unread` widens no answer and may be missing from every one: an answer beside it is not the whole answer.
    `remarks` are worth saying and change nothing. `places` says where in the source an object stands.
    `owned` False: nobody said whose namespaces are; each counts as a party of its own, and no border is drawn.
    """

    source: str
    snapshot: Snapshot
    tenancy: Tenancy
    unread: tuple[Unread, ...] = ()
    remarks: tuple[str, ...] = ()
    faces: Mapping[tuple[str, str], ServiceFace] = field(default_factory=dict)
    services: Mapping[tuple[str, str], ModelService] = field(default_factory=dict)
    places: Mapping[ObjectRef, str] = field(default_factory=dict)
    owned: bool = True

    @property
    def dialect(self) -> Dialect:
        return self.snapshot.dialect
