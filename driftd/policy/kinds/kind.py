"""What driftd knows of a governed kind: its identity, what of it is covered, how it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from driftd.policy.kinds.canonical import digest
from driftd.values import Body, Digest, Resource


class World(StrEnum):
    """Whether an object that the model does not name is drift (D4)."""

    CLOSED = "closed"  # policies add up: an object too many can open the namespace
    OPEN = "open"  # only the named objects are compared; nothing is ever deleted


@dataclass(frozen=True, slots=True)
class Coverage:
    """What of a Namespace is covered besides the fixed labels and annotations.

    `selector_keys`: label keys that namespace selectors in the model read; they decide who matches, so they are covered
    on every governed Namespace. `named_keys`: label and annotation keys that a Namespace manifest names, by the
    name of that namespace. `created`: namespaces that driftd makes, and does not adopt: they have no owner.
    """

    selector_keys: frozenset[str] = frozenset()
    named_keys: Mapping[str, frozenset[str]] = field(default_factory=dict)
    created: frozenset[str] = frozenset()


class Kind(Protocol):
    """A governed kind. All methods are pure, leave their arguments alone and raise `MalformedObjectError`.

    Results may share parts with the arguments and with each other: read them, or encode them, but do not change them
    in place.
    """

    @property
    def resource(self) -> Resource:
        """The version in which driftd reads and writes the kind."""
        ...

    @property
    def world(self) -> World: ...

    @property
    def dialect(self) -> str:
        """The network layer whose kind it is, as `cni.dialect` names it; empty for Kubernetes' own."""
        ...

    @property
    def rank(self) -> int:
        """Place in the order of creation: lower first."""
        ...

    @property
    def reads_coverage(self) -> bool:
        """Whether what is covered depends on the model's `Coverage`; digests of the others outlive a new one."""
        ...

    def covered(self, body: Body, coverage: Coverage) -> Body:
        """The covered part in canonical form: defaults explicit, sets sorted. Equal forms mean equal state (D1)."""
        ...

    def keyed(self, covered: Body) -> Body:
        """The same with lists as maps keyed by what their elements say, for reports (D2)."""
        ...

    def merged(self, live: Body, desired: Body, coverage: Coverage) -> Body:
        """The body of a repairing PUT: covered parts of `desired`, all else of `live`; no condemned mark (D3).

        The epoch annotation is left as found: the writer sets it.
        """
        ...

    def emptied(self, live: Body) -> Body:
        """`live` with the same selection and nothing allowed or limited: the body of a condemning PUT (D10).

        Raises:
            OpenWorldError: the kind is open, so nothing of it is ever deleted.
        """
        ...


class OpenWorldError(TypeError):
    """A deletion was asked for in a kind of the open world: a fault of the caller."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(f"{resource.kind} is of the open world: driftd deletes none, so there is nothing to empty")


def digest_of(kind: Kind, body: Body, coverage: Coverage) -> Digest:
    """BLAKE2b-128 of the covered canonical part."""
    return digest(kind.covered(body, coverage))
