"""Smart HTTP over TLS, under one deadline and one budget of bytes."""

import base64
import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dulwich.client import AbstractHttpGitClient

from driftd.source.errors import SourceUnreadable
from driftd.source.git.deadline import Deadline
from driftd.source.git.errors import GitDenied, GitMissing, GitUnreachable
from driftd.source.git.repository import WAIT_SECONDS, Budget, Repository, words


class _Answer:
    """An HTTP answer as dulwich wants it."""

    redirect_location = ""

    def __init__(self, connection: http.client.HTTPSConnection, answer: http.client.HTTPResponse) -> None:
        self._connection, self._answer = connection, answer
        self.status = answer.status
        self.headers = answer.headers
        self.content_type = answer.headers.get("Content-Type")

    def read(self, amount: int | None = None) -> bytes:
        return self._answer.read(amount)

    def close(self) -> None:
        self._answer.close()
        self._connection.close()


class HttpsClient(AbstractHttpGitClient):
    """Smart HTTP over TLS. Redirects are told and not followed: a token goes to the host it was given for."""

    def __init__(self, repository: Repository, deadline: Deadline, budget: Budget) -> None:
        address = repository.address
        super().__init__(f"https://{address.host}/", thin_packs=False)
        self._repository, self._deadline, self._budget = repository, deadline, budget
        self._context = _tls(repository.login.ca_file)
        self._authorization = _basic(repository)

    def _http_request(
        self,
        url: str,
        headers: dict[str, str] | None = None,
        data: bytes | Iterator[bytes] | None = None,
        raise_for_status: bool = True,  # noqa: ARG002, FBT001, FBT002 - dulwich's signature
    ) -> tuple[Any, Callable[[int], bytes]]:
        address = self._repository.address
        target = "/" + url.split("://", 1)[-1].split("/", 1)[-1]
        sent = {**(headers or {}), "User-Agent": "git/driftd", "Connection": "close", **self._authorization}
        connection = http.client.HTTPSConnection(
            address.host, address.port, timeout=min(WAIT_SECONDS, self._deadline.patience), context=self._context
        )
        self._deadline.breaking(lambda: _hang_up(connection.sock))
        try:
            connection.connect()
            opened = connection.sock  # the connection forgets it when an answer begins that ends it
            self._deadline.breaking(lambda: _hang_up(opened))
            connection.request("GET" if data is None else "POST", target, body=data, headers=sent)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise GitUnreachable(str(address), words(error)) from None  # the cause may show the request's headers
        found = _Answer(connection, answer)
        try:
            self._judge(found, answer, smart=target.endswith("service=git-upload-pack"))
        except BaseException:
            found.close()
            raise
        return found, self._reading(answer)

    def _judge(self, found: _Answer, answer: http.client.HTTPResponse, *, smart: bool) -> None:
        address = str(self._repository.address)
        if answer.status in (401, 403):
            raise GitDenied(address, f"HTTP {answer.status}")
        if answer.status == 404:
            raise GitMissing(address, "repository there, or not for this login")
        if 300 <= answer.status < 400:
            raise GitUnreachable(address, f"HTTP {answer.status}: it has moved; name the new address in the settings")
        if answer.status != 200:
            raise GitUnreachable(address, f"HTTP {answer.status}")
        if smart and not (found.content_type or "").startswith("application/x-git-"):
            raise GitUnreachable(address, "what answers there is no git server that speaks the smart protocol")

    def _reading(self, answer: http.client.HTTPResponse) -> Callable[[int], bytes]:
        def read(amount: int) -> bytes:
            try:
                data = answer.read(amount)
            except (OSError, ValueError, http.client.HTTPException) as error:
                raise GitUnreachable(str(self._repository.address), words(error)) from None
            self._budget.spend(len(data))
            return data

        return read

    @staticmethod
    def _warn_filter_objects() -> None:
        """A server that cannot filter sends more; the budget bounds it."""


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise SourceUnreadable(ca_file or "the system's certificates", words(error)) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _basic(repository: Repository) -> dict[str, str]:
    login, address = repository.login, repository.address
    user, password = login.username or address.user, address.password
    if login.password_file is not None:
        try:
            password = login.password_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SourceUnreadable(login.password_file, type(error).__name__) from None
    if not (user or password):
        return {}
    pair = f"{user or 'git'}:{password}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _hang_up(found: socket.socket | None) -> None:
    if found is not None:
        # Not SSLSocket.shutdown: that takes the TLS layer away under the thread that reads from it.
        socket.socket.shutdown(found, socket.SHUT_RDWR)
