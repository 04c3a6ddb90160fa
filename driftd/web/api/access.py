"""Who is asking, and whether they may: the API server is asked both, each time (TokenReview, SubjectAccessReview)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import orjson

from driftd.cluster import ClusterError, Session
from driftd.web.api.problems import NotAllowed, NotAuthenticated, Unable

GROUP: Final = "driftd.dev"
"""The API group of rights that name no object: `create approvals.driftd.dev` is only ever asked about."""

_WHO: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
_MAY: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_LONGEST_TOKEN: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, as the API server knows them."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to do, in the terms of RBAC.

    Without a namespace it takes a ClusterRoleBinding, whose role may be narrowed to a name by `resourceNames`.
    """

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        which = f" {self.name}" if self.name else ""
        return f"{self.verb} {self.resource}.{GROUP}{which}{where}"


class _User(msgspec.Struct):
    username: str = ""
    uid: str = ""
    groups: list[str] | None = None
    extra: dict[str, list[str]] | None = None


class _TokenStatus(msgspec.Struct):
    authenticated: bool = False
    user: _User = msgspec.field(default_factory=_User)
    audiences: list[str] | None = None


class _TokenReview(msgspec.Struct):
    status: _TokenStatus = msgspec.field(default_factory=_TokenStatus)


class _AccessStatus(msgspec.Struct):
    allowed: bool = False
    denied: bool = False


class _AccessReview(msgspec.Struct):
    status: _AccessStatus = msgspec.field(default_factory=_AccessStatus)


@dataclass(frozen=True, slots=True)
class Access:
    """Asks the API server. Nothing is remembered: a right that is taken away is gone with the next request.

    `audience` is whom tokens must be made for; empty takes those that the API server itself takes. A server whose
    authenticators know no audiences says so by naming none, and then nobody is believed.
    """

    session: Session
    audience: str = ""

    async def person(self, authorization: str | None) -> Person:
        """Who carries this `Authorization` header. Raises `NotAuthenticated`, `Unable`."""
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise NotAuthenticated("there is no bearer token in the request")
        if len(token) > _LONGEST_TOKEN or not token.isascii():
            raise NotAuthenticated("what the request carries is no token")
        spec: dict[str, Any] = {"token": token}
        if self.audience:
            spec["audiences"] = [self.audience]
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        status = (await self._ask(_WHO, review, _TokenReview)).status
        if not status.authenticated or not status.user.username:
            raise NotAuthenticated("the token is not valid, or no longer")
        if self.audience and self.audience not in (status.audiences or ()):
            raise NotAuthenticated(f"the token is not made for the audience {self.audience}")
        user = status.user
        extra = {key: tuple(values) for key, values in (user.extra or {}).items()}
        return Person(user.username, user.uid, tuple(user.groups or ()), extra)

    async def allow(self, person: Person, wish: Wish) -> None:
        """Raises `NotAllowed` unless this person may do that; `Unable` when nobody can tell."""
        spec = {
            "user": person.name,
            "uid": person.uid,
            "groups": list(person.groups),
            "extra": {key: list(values) for key, values in person.extra.items()},
            "resourceAttributes": {
                "group": GROUP,
                "resource": wish.resource,
                "verb": wish.verb,
                "namespace": wish.namespace,
                "name": wish.name,
            },
        }
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        status = (await self._ask(_MAY, review, _AccessReview)).status
        if status.denied or not status.allowed:
            raise NotAllowed(person.name, str(wish))

    async def _ask(self, path: str, review: dict[str, Any], answer: Any) -> Any:
        try:
            response = await self.session.request("POST", path, body=orjson.dumps(review))
            return msgspec.json.decode(response.body, type=answer)
        except ClusterError as error:
            raise Unable(f"the API server cannot say who may do what ({type(error).__name__}); try again") from error
        except msgspec.MsgspecError:
            raise Unable("the API server's answer about rights cannot be read; try again") from None
