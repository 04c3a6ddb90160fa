"""One client of one API server: raw bytes in and out, a deadline on everything, and errors that say what happened."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode

import aiohttp
import structlog
import yarl
from aiohttp.helpers import get_env_proxy_for_url

from driftd.cluster.credentials import Credentials, InCluster, TlsFiles
from driftd.cluster.errors import (
    BadAnswer,
    BodyTooLarge,
    ClusterError,
    ServerFault,
    TooManyRequests,
    Unauthorized,
    Unreachable,
    api_error,
    read_status,
)
from driftd.cluster.library import library
from driftd.cluster.lines import LineCutter, LineTooLong
from driftd.cluster.pace import Pace

JSON: Final = "application/json"
RETRY_AFTER_CAP: Final = 60.0
_READ_RETRIES: Final = 3
_ERROR_BODY_LIMIT: Final = 64 * 1024
_REREAD_SECONDS: Final = 60.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, between two pieces of an answer, and for all of it."""

    connect: float = 5.0
    read: float = 15.0
    total: float = 30.0

    def client(self) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(
            total=self.total, connect=self.connect, sock_connect=self.connect, sock_read=self.read
        )


@dataclass(frozen=True, slots=True)
class Response:
    """A successful answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Call:
    """A request before credentials."""

    verb: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    timeouts: Timeouts
    body: bytes | None = None
    gate: Callable[[], None] | None = None


class Stream:
    """An open answer that is read line by line (a watch)."""

    def __init__(self, response: aiohttp.ClientResponse, path: str, line_limit: int) -> None:
        self._response, self._path, self._limit = response, path, line_limit

    async def lines(self) -> AsyncIterator[bytes]:
        """Whole lines until the server ends the answer in good order.

        Raises:
            Unreachable: nothing came within the read deadline, or the connection broke.
            BadAnswer: the answer ended inside a line, or a line is over the limit.
        """
        cutter = LineCutter(self._limit)
        try:
            async for chunk in self._response.content.iter_any():
                for line in cutter.feed(chunk):
                    yield line
        except LineTooLong as error:
            raise BadAnswer("WATCH", self._path, str(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable("WATCH", self._path, f"{type(error).__name__} {error}", sent=True) from error
        if cutter.pending:
            raise BadAnswer("WATCH", self._path, f"ended inside a line, after {cutter.pending} bytes of it")


@dataclass(slots=True)
class _Transport:
    """One TLS context with its connections; retired when its files change, closed when its last request ends."""

    rest: Any
    host: str
    files: TlsFiles
    options: Mapping[str, Any]
    in_flight: int = 0
    retired: bool = False


@dataclass(slots=True)
class Session:
    """A client with its own connections.

    `pool` bounds parallel connections, 0 not at all; every open watch holds one, so the lease has a session of its
    own and can never wait behind watches. Redirects are not followed: a token goes to the server it is meant for.

    etcd takes objects of 1.5 MiB, which a tenant can fill with characters that JSON writes as six bytes (`<` is one): a
    legal event is 9 MiB long, and a line that no limit lets pass would blind its kind. A list that is over `body_limit`
    is asked for again in smaller pages, so that limit is one of memory alone.
    """

    credentials: Credentials
    pace: Pace
    timeouts: Timeouts = Timeouts()
    pool: int = 0
    user_agent: str = "driftd"
    line_limit: int = 16 * 1024 * 1024
    body_limit: int = 24 * 1024 * 1024
    _transport: _Transport | None = field(default=None, init=False)
    _token: str = field(default="", init=False)
    _tried_at: float = field(default=float("-inf"), init=False)
    _proven: bool = field(default=False, init=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections; open streams end."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.rest.close()

    async def request(
        self,
        verb: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        accept: str = JSON,
        content_type: str = JSON,
        timeouts: Timeouts | None = None,
        gate: Callable[[], None] | None = None,
    ) -> Response:
        """One exchange; the answer's bytes if its status is 2xx.

        Reads are repeated, at most three times, when the connection breaks and when the server says 429 or 5xx *and*
        names a time. Writes never are: the caller must look first. A 401 is tried again once with credentials read
        afresh (the server did nothing yet). `gate` runs directly before the request leaves, and stops it by raising.

        Raises:
            ApiError: one subclass for each meaning of a status. Unreachable, BadAnswer, CredentialsUnusable.
        """
        headers = {"Accept": accept} if body is None else {"Accept": accept, "Content-Type": content_type}
        call = _Call(verb, path, query or {}, headers, timeouts or self.timeouts, body, gate)
        for _ in range(_READ_RETRIES if verb == "GET" else 0):
            try:
                return await self._authorized(call)
            except Unreachable as error:
                if not error.dropped:
                    raise
                await self.pace.sleep(0.2 * self.pace.random())
            except (TooManyRequests, ServerFault) as error:
                if error.retry_after is None:
                    raise
                await self.pace.sleep(error.retry_after * (1 + 0.1 * self.pace.random()))
        return await self._authorized(call)

    async def _authorized(self, call: "_Call") -> Response:
        for last in (False, True):
            try:
                async with self._exchange(call) as response:
                    body = await _read(response, call, self.body_limit)
                    return Response(response.status, body, response.headers)
            except Unauthorized:
                if last or not await self._reread():
                    raise
        raise AssertionError("the second round returns or raises")

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str], accept: str, timeouts: Timeouts
    ) -> AsyncIterator[Stream]:
        """An answer that goes on: `timeouts.read` is the longest silence borne, `timeouts.total` its whole life."""
        call = _Call("GET", path, query, {"Accept": accept}, timeouts)
        for last in (False, True):
            async with contextlib.AsyncExitStack() as stack:
                try:
                    response = await stack.enter_async_context(self._exchange(call))
                except Unauthorized:
                    if last or not await self._reread():
                        raise
                    continue
                _find_dead_peers(response)
                yield Stream(response, path, self.line_limit)
                return

    @contextlib.asynccontextmanager
    async def _exchange(self, call: "_Call") -> AsyncIterator[aiohttp.ClientResponse]:
        transport = await self._ready()
        headers = dict(call.headers) | {"User-Agent": self.user_agent, "Accept-Encoding": "identity"}
        if self._token:
            headers["Authorization"] = self._token
        url = yarl.URL(transport.host + call.path + ("?" + urlencode(call.query) if call.query else ""), encoded=True)
        transport.in_flight += 1
        try:
            if call.gate is not None:
                call.gate()
            try:
                response = await transport.rest.pool_manager.request(
                    call.verb,
                    url,
                    data=call.body,
                    headers=headers,
                    timeout=call.timeouts.client(),
                    allow_redirects=False,
                    **transport.options,
                )
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                raise Unreachable(call.verb, call.path, f"{type(error).__name__} {error}", sent=False) from error
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise _no_answer(call, error) from error
            async with response:
                if not 200 <= response.status <= 299:
                    raise await _failure(response, call)
                self._proven = True
                yield response
        finally:
            transport.in_flight -= 1
            if transport.retired and not transport.in_flight:
                await asyncio.shield(transport.rest.close())

    async def _ready(self) -> _Transport:
        """The transport in use; once a minute the credentials are looked at again."""
        now = self.pace.clock.monotonic()
        if self._transport is not None and now - self._tried_at < _REREAD_SECONDS:
            return self._transport
        async with self._lock:
            if self._transport is None:
                return await self._load(afresh=True)
            if self.pace.clock.monotonic() - self._tried_at < _REREAD_SECONDS:
                return self._transport
            try:
                return await self._load(afresh=False)
            except ClusterError as error:
                # A file in the middle of its rotation: the token in hand is good until the server says otherwise.
                self._tried_at = self.pace.clock.monotonic()
                _log.warning("cluster.credentials.reread_failed", error=str(error))
                return self._transport

    async def _reread(self) -> bool:
        """After a 401: whether credentials read afresh are worth another try.

        They are when they differ, and also when the same ones have worked before: an API server that has just
        started refuses good tokens for a moment.
        """
        refused = self._token
        async with self._lock:
            if self._token != refused:
                return True
            await self._load(afresh=True)
            return self._token != refused or self._proven

    async def _load(self, *, afresh: bool) -> _Transport:
        configuration = await self.credentials.load(afresh=afresh)
        self._tried_at = self.pace.clock.monotonic()
        self._token = configuration.api_key.get("BearerToken", "")
        files = TlsFiles.of(configuration)
        current = self._transport
        if current is not None and current.files == files and current.host == configuration.host.rstrip("/"):
            return current
        configuration.connection_pool_maxsize = self.pool
        rest = library().RESTClientObject(configuration)
        # Trap: aiohttp counts PUT and DELETE as idempotent and sends them again by itself when a kept connection
        # breaks (client.py, IDEMPOTENT_METHODS). A write that left twice is a write nobody accounted for.
        rest.pool_manager._retry_connection = False  # noqa: SLF001 (no public switch; test_session.py watches it)
        # Trap: with trust_env aiohttp looks for proxies, and reads ~/.netrc, in a thread before every request; and what
        # .netrc says of the host would be sent as credentials where there is no token. The proxy is asked for once.
        rest.pool_manager._trust_env = False  # noqa: SLF001 (no way to say so to the library; test_session.py watches it)
        host = configuration.host.rstrip("/")
        # A pod's own API server is inside: the proxy that leads out, named for pages and traces, is not the way there.
        by_proxy = not isinstance(self.credentials, InCluster)
        fresh = _Transport(rest, host, files, await asyncio.to_thread(_options, rest, host, by_proxy))
        self._transport = fresh
        if current is not None:
            _log.info("cluster.tls.renewed")
            current.retired = True
            if not current.in_flight:
                await current.rest.close()
        return fresh


def _options(rest: Any, host: str, by_proxy: bool) -> Mapping[str, Any]:  # noqa: FBT001 - for a thread, by place
    """What every request to this server says: the proxy of the kubeconfig or else of the environment, the TLS name."""
    options: dict[str, Any] = {}
    if rest.proxy:
        options["proxy"] = rest.proxy
    elif by_proxy:
        with contextlib.suppress(LookupError):
            options["proxy"], options["proxy_auth"] = get_env_proxy_for_url(yarl.URL(host))
    if rest.server_hostname:
        options["server_hostname"] = rest.server_hostname
    return options


async def _read(response: aiohttp.ClientResponse, call: _Call, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > limit:
                raise BodyTooLarge(call.verb, call.path, f"more than {limit} bytes")
            parts.append(chunk)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _no_answer(call, error) from error
    return b"".join(parts)


def _no_answer(call: _Call, error: Exception) -> Unreachable:
    # A kept connection that the server has just closed looks like this too: worth another try for a read.
    dropped = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
    return Unreachable(call.verb, call.path, f"{type(error).__name__} {error}", sent=True, dropped=dropped)


async def _failure(response: aiohttp.ClientResponse, call: _Call) -> ClusterError:
    try:
        body = await _read(response, call, _ERROR_BODY_LIMIT)
    except (Unreachable, BadAnswer):
        body = b""  # the status alone says enough
    _, said = read_status(body)
    return api_error(call.verb, call.path, response.status, said, _retry_after(response.headers))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header in either of its forms (RFC 9110, 10.2.3), at most a minute."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isdigit():
        return min(float(text), RETRY_AFTER_CAP)
    try:
        moment, now = parsedate_to_datetime(text), parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError):
        return None
    return min(max((moment - now).total_seconds(), 0.0), RETRY_AFTER_CAP)


def _find_dead_peers(response: aiohttp.ClientResponse) -> None:
    """Lets the kernel notice a peer that vanished without a word: a watch sends nothing, so only probes can tell.

    HTTP/1.1 has no ping. 15 s idle and three probes of 10 s find a dead path within 45 s, client-go's figure.
    """
    connection = response.connection
    transport = connection.transport if connection is not None else None
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 45_000)):
        option = getattr(socket, name, None)  # not every system has all four
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
