"""What this login may do: which needed rights are missing, and which it has that driftd must not have."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec
import orjson

from driftd.cluster.errors import BadAnswer
from driftd.cluster.session import Session
from driftd.values import Resource

_AUTHORIZATION: Final = "/apis/authorization.k8s.io/v1"
_PARALLEL: Final = 8


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One thing that may be allowed. Empty `namespace` is everywhere, empty `name` is every object."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        what = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        what = f"{what}.{self.group}" if self.group else what
        which = f" {self.name}" if self.name else ""
        return f"{self.verb} {what}{which}" + (f" in {self.namespace}" if self.namespace else "")


def watching(resource: Resource) -> tuple[Right, ...]:
    """The rights that a reflector needs."""
    return tuple(Right(verb, resource.group, resource.plural) for verb in ("get", "list", "watch"))


def writing(resource: Resource) -> tuple[Right, ...]:
    """The rights that repairs need; nothing may ever delete a Namespace."""
    verbs = ("create", "update") if resource.kind == "Namespace" else ("create", "update", "delete")
    return tuple(Right(verb, resource.group, resource.plural) for verb in verbs)


TOO_MUCH: Final[tuple[Right, ...]] = (
    Right("*", "*", "*"),
    *(Right(verb, "", "secrets") for verb in ("get", "list", "watch")),
    Right("delete", "", "namespaces"),
    Right("create", "", "pods", "exec"),
    Right("create", "", "serviceaccounts", "token"),
    Right("get", "", "nodes", "proxy"),
    *(Right("impersonate", "", kind) for kind in ("users", "groups", "serviceaccounts")),
    *(Right(verb, "rbac.authorization.k8s.io", "clusterroles") for verb in ("escalate", "bind", "update")),
    *(
        Right("update", "admissionregistration.k8s.io", kind)
        for kind in (
            "validatingwebhookconfigurations",
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
        )
    ),
    Right("approve", "certificates.k8s.io", "signers"),
)
"""What a stolen login of driftd could do harm with, and driftd never needs (RBAC good practices: escalation)."""


class _Status(msgspec.Struct):
    allowed: bool = False
    denied: bool = False


class _Review(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)


@dataclass(frozen=True, slots=True)
class Rights:
    """Asks the API server about the login in use; nothing is stored by asking."""

    session: Session

    async def allowed(self, right: Right) -> bool:
        """Whether the server would let this login do that (SelfSubjectAccessReview). Raises ClusterError."""
        attributes = {
            "verb": right.verb,
            "group": right.group,
            "resource": right.resource,
            "subresource": right.subresource,
            "namespace": right.namespace,
            "name": right.name,
        }
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = f"{_AUTHORIZATION}/selfsubjectaccessreviews"
        answer = await self.session.request("POST", path, body=orjson.dumps(body))
        try:
            status = msgspec.json.decode(answer.body, type=_Review).status
        except msgspec.MsgspecError as error:
            raise BadAnswer("POST", path, str(error)) from error
        return status.allowed and not status.denied

    async def missing(self, needed: Iterable[Right]) -> tuple[Right, ...]:
        """Those of the needed rights that this login lacks, in order."""
        wanted = tuple(dict.fromkeys(needed))
        return tuple(right for right, held in zip(wanted, await self._ask(wanted), strict=True) if not held)

    async def excess(self, unwanted: Iterable[Right] = TOO_MUCH) -> tuple[Right, ...]:
        """Those of the dangerous rights that this login has: a warning: least privilege is part of the promise."""
        asked = tuple(dict.fromkeys(unwanted))
        return tuple(right for right, held in zip(asked, await self._ask(asked), strict=True) if held)

    async def _ask(self, rights: tuple[Right, ...]) -> list[bool]:
        turns = asyncio.Semaphore(_PARALLEL)

        async def one(right: Right) -> bool:
            async with turns:
                return await self.allowed(right)

        return list(await asyncio.gather(*(one(right) for right in rights)))
