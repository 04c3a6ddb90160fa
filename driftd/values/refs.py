"""Names of things: which object, which part of the cluster, which line of the model."""

from dataclasses import dataclass
from typing import Any, NewType, TypeAlias

Body: TypeAlias = dict[str, Any]
"""A Kubernetes object as decoded JSON: the one place where `Any` may cross a room's door."""

Digest = NewType("Digest", bytes)
"""BLAKE2b-128 of an object's canonical covered part. Equal digests mean equal state (D2)."""


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """A kind as the API serves it: the version in which driftd reads and writes it, and its plural.

    `identity` is the group that its objects are named by, where it is not the one that serves them: Calico's kinds are
    of projectcalico.org, also when they are read from the CRDs of crd.projectcalico.org.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    identity: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Group and kind as an `ObjectRef` has them."""
        return self.identity or self.group, self.kind

    def ref(self, namespace: str, name: str) -> "ObjectRef":
        """Identity of one object of the kind."""
        return ObjectRef(*self.key, namespace, name)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


def kind_name(group: str, kind: str) -> str:
    """A kind in words: with its group where people mean another group's kind by the bare name."""
    return f"{kind}.{group}" if kind == "NetworkPolicy" and group != "networking.k8s.io" else kind


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """Identity of an object. Never the API version: one object may be read through several.

    `namespace` is the empty string for cluster-scoped objects.
    """

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{kind_name(self.group, self.kind)} {where}"


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """The unit of comparing and repairing: one namespace with all it holds, or the rest of the cluster.

    A Namespace object belongs to the scope of its own name. `CLUSTER` holds everything else without a namespace.
    """

    namespace: str

    def __str__(self) -> str:
        return self.namespace or "(cluster)"


CLUSTER = Scope("")


def scope_of(ref: ObjectRef) -> Scope:
    """The scope an object is judged in: a Namespace's is the namespace it stands for."""
    if ref.kind == "Namespace" and not ref.group:
        return Scope(ref.name)
    return Scope(ref.namespace)


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where in the model something comes from: path below the model root, line (from 1), document (`Kind/name`)."""

    file: str
    line: int
    document: str

    @property
    def provenance(self) -> str:
        """The one provenance annotation: path and document, never a line, a commit or a time (D3)."""
        return f"{self.file}#{self.document}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line} ({self.document})"
