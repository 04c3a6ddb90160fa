"""Where a repository is: https or ssh, taken apart once, and shown without the secrets in it."""

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from driftd.source.errors import SourceError
from driftd.values import redacted

_SCP = re.compile(r"(?:(?P<user>[^@/:\s]+)@)?(?P<host>[^/:\s\[\]]+):(?P<path>[^\s:]\S*)")


class AddressUnusable(SourceError):
    """A repository's address that driftd does not go to."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(
            f"DRIFTD_MODEL__GIT__URL {redacted(text)!r}: {why}; expected https://host/path or ssh://git@host/path"
        )


@dataclass(frozen=True, slots=True)
class Address:
    """A repository. `str` gives what may be shown; `password` never shows, also not in a repr."""

    scheme: Literal["https", "ssh"]
    host: str
    port: int
    path: str
    user: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        usual = {"https": 443, "ssh": 22}[self.scheme]
        port = "" if self.port == usual else f":{self.port}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{port}{self.path}"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """An https or ssh URL, or ssh in the short form `git@host:path`. Raises `AddressUnusable`."""
        if "://" not in text:
            return cls._short(text)
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise AddressUnusable(text, "this is no URL") from None  # its words would repeat the password
        if parts.scheme not in ("https", "ssh"):
            raise AddressUnusable(text, f"{parts.scheme} is not a way that proves who answers")
        if parts.query or parts.fragment:
            raise AddressUnusable(text, "a query or fragment has no meaning here")
        path = unquote(parts.path) if parts.scheme == "ssh" else parts.path
        if not parts.hostname or path in ("", "/"):
            raise AddressUnusable(text, "host or path is missing")
        scheme: Literal["https", "ssh"] = "https" if parts.scheme == "https" else "ssh"
        return cls(
            scheme=scheme,
            host=_host(text, parts.hostname),
            port=port or (443 if scheme == "https" else 22),
            path=path,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )

    @classmethod
    def _short(cls, text: str) -> "Address":
        found = _SCP.fullmatch(text)
        if found is None:
            raise AddressUnusable(text, "this is neither a URL nor user@host:path")
        path = found["path"] if found["path"].startswith(("/", "~")) else f"~/{found['path']}"
        return cls(
            "ssh", _host(text, found["host"]), 22, path if path.startswith("/") else f"/{path}", found["user"] or ""
        )


def _host(text: str, host: str) -> str:
    if host.startswith("-"):
        raise AddressUnusable(text, "a host's name does not begin with a dash")
    return host
