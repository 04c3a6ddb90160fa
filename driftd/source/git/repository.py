"""Which branch of which repository, how to log in there, and how much may be fetched from it."""

from dataclasses import dataclass
from pathlib import Path

from driftd.source.git.address import Address
from driftd.source.git.errors import TooMuchToFetch
from driftd.values import redacted

WAIT_SECONDS = 20.0
"""Longest single wait for a connection or the next bytes; the deadline bounds them all together."""


@dataclass(frozen=True, slots=True)
class Login:
    """Files with what proves who driftd is and who the server is; each is read anew every time: Secrets rotate."""

    username: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    ssh_key_file: Path | None = None
    known_hosts_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Repository:
    """A branch, and the folder in it that is the model's root ("" for the top)."""

    address: Address
    branch: str
    folder: str = ""
    login: Login = Login()

    @property
    def ref(self) -> bytes:
        return f"refs/heads/{self.branch}".encode()

    def __str__(self) -> str:
        return f"{self.address} {self.branch}"


@dataclass(slots=True)
class Budget:
    """How many more bytes a server may send in one exchange."""

    address: str
    limit: int
    spent: int = 0

    def spend(self, count: int) -> None:
        """Raises `TooMuchToFetch`."""
        self.spent += count
        if self.spent > self.limit:
            raise TooMuchToFetch(
                self.address, f"more than {self.limit} bytes", f"{self.limit} bytes", "DRIFTD_MODEL__GIT__PACK_BYTES"
            )


def words(error: BaseException) -> str:
    """An error in one printable line, without addresses that may hold a login."""
    text = printable(redacted(str(error)))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def printable(text: str) -> str:
    """At most 200 characters of somebody else's words, none of which steers a terminal or a log."""
    return " ".join("".join(char if char.isprintable() else " " for char in text[:1000]).split())[:200]
