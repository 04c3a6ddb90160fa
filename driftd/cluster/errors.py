"""What can go wrong between driftd and the API server, one small class a condition.

Messages name verb, path and status and give the server's own words, cut and cleaned; never a body: an object in an
error text would reach logs and pages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

MESSAGE_LIMIT: Final = 256


class ClusterError(Exception):
    """Anything that kept driftd from an answer of the API server it can use."""


class Unreachable(ClusterError):
    """No answer: refused, reset, timed out. `sent` says whether the request may have reached the server.

    `dropped` marks a connection that broke before an answer, as against one that timed out.
    """

    def __init__(self, verb: str, path: str, why: str, *, sent: bool, dropped: bool = False) -> None:
        self.verb, self.path, self.sent, self.dropped = verb, path, sent, dropped
        tail = "the request may have arrived" if sent else "the request did not leave"
        super().__init__(f"{verb} {path}: no answer from the API server ({clean(why)}); {tail}")


class BadAnswer(ClusterError):
    """The server answered with something that is not what the API promises: not JSON, cut short, too large."""

    def __init__(self, verb: str, path: str, why: str) -> None:
        self.verb, self.path = verb, path
        super().__init__(f"{verb} {path}: unusable answer of the API server: {clean(why)}")


class BodyTooLarge(BadAnswer):
    """An answer over the size this caller accepts; ask for smaller pages."""


class CredentialsUnusable(ClusterError):
    """The kubeconfig, the service account's files or an exec plugin gave no way to log in."""


class ApiError(ClusterError):
    """The API server refused or failed, and said so with a status code."""

    def __init__(self, verb: str, path: str, status: int, said: "Said", retry_after: float | None = None) -> None:
        self.verb, self.path, self.status, self.said, self.retry_after = verb, path, status, said, retry_after
        reason = f" {said.reason}" if said.reason else ""
        text = f": {said.message}" if said.message else ""
        super().__init__(f"{verb} {path}: {status}{reason}{text}"[: MESSAGE_LIMIT + 200])


class Unauthorized(ApiError):
    """401: the credentials are not accepted, also not after reading them again."""


class Forbidden(ApiError):
    """403: no right to do this, or an admission plug-in said no."""


class NotFound(ApiError):
    """404: the object, or the whole kind, is not there. `is_object` tells which."""

    def is_object(self, name: str) -> bool:
        """Whether the server denies exactly this object; a 404 of the path itself says nothing about objects."""
        return self.said.name == name


class Conflict(ApiError):
    """409: the object exists already, or moved on since it was read."""


class Gone(ApiError):
    """410: that resourceVersion or continue token is older than the server's history."""


class Invalid(ApiError):
    """400, 415 or 422: the server does not accept this request; the same one will never pass."""


class TooLarge(Invalid):
    """413, or a 500 in the words of etcd or of its client: the object cannot be stored for its size."""


class TooManyRequests(ApiError):
    """429: slow down; `retry_after` is in seconds when the server named a time."""


class ServerFault(ApiError):
    """5xx: the server, or what stands behind it, could not."""


class UnexpectedStatus(ApiError):
    """A status code that this API has no meaning for (a redirect, a proxy's own)."""


@dataclass(frozen=True, slots=True)
class Said:
    """The few fields of a `Status` that may be repeated; empty when the answer was no Status."""

    reason: str = ""
    message: str = ""
    name: str = ""
    causes: tuple[str, ...] = ()


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""
    field: str = ""


class _Details(msgspec.Struct):
    name: str = ""
    causes: list[_Cause] | None = None


class _Status(msgspec.Struct):
    kind: str = ""
    reason: str = ""
    message: str = ""
    code: int = 0
    details: _Details | None = None


_STATUS = msgspec.json.Decoder(_Status)


def clean(text: str) -> str:
    """One printable line of at most 256 characters: server text goes to logs and pages."""
    line = "".join(char if char.isprintable() else " " for char in text[: 4 * MESSAGE_LIMIT])
    line = " ".join(line.split())
    return line if len(line) <= MESSAGE_LIMIT else line[: MESSAGE_LIMIT - 1] + "…"


def read_status(body: bytes) -> tuple[int, Said]:
    """Code and words of a `Status` object; `(0, Said())` for anything else, whose text is not repeated."""
    try:
        status = _STATUS.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return 0, Said()
    if status.kind != "Status":
        return 0, Said()
    details = status.details or _Details()
    return status.code, Said(
        reason=clean(status.reason),
        message=clean(status.message),
        name=details.name,
        causes=tuple(clean(cause.reason) for cause in details.causes or ()),
    )


_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: TooLarge,
    415: Invalid,
    422: Invalid,
    429: TooManyRequests,
}

_NO_ROOM: Final = ("etcdserver: request is too large", "trying to send message larger than max")
"""What a 500 says of an object over etcd's limit of a request (1.5 MiB), or over its client's of a message (2 MiB).
Source: `isTooLargeError` in the API server's endpoints/handlers/rest.go, which tries once more without managedFields.
"""


def api_error(verb: str, path: str, status: int, said: Said, retry_after: float | None = None) -> ApiError:
    """The error class of a status code, filled in."""
    kind = _BY_STATUS.get(status, ServerFault if status >= 500 else UnexpectedStatus)
    if status == 500 and any(words in said.message for words in _NO_ROOM):
        kind = TooLarge
    return kind(verb, path, status, said, retry_after)
