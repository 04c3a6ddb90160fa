"""A fault proxy between driftd and a real API server: it ends TLS, reads HTTP/1.1 requests, and does harm on command.

Rules look at requests one by one: an answer of its own, a pause, a cut before or after the server has acted, or any
deed of the test (a SIGKILL) at exactly that moment. Streams can be frozen: the connection stays open and acknowledged,
and nothing comes through any more. Nothing of driftd is instrumented.
"""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

from driftd.lab import Lab
from driftd.lab.authority import Authority, write_key_pair

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_OWN = re.compile(r"/namespaces/driftd/|/events\b|/selfsubject|/tokenreviews")


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a client: `path` with its query."""

    verb: str
    path: str
    head: bytes
    body: bytes

    @property
    def is_watch(self) -> bool:
        return "watch=" in self.path

    @property
    def is_repair(self) -> bool:
        """A write to a governed object: not driftd's own lease, fence, canary or Events, and no dry run."""
        return self.verb in WRITES and not _OWN.search(self.path) and "dryRun" not in self.path


class Fate(Enum):
    """What becomes of a request, or of its answer."""

    PASS = "pass"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that the proxy gives itself; the server never hears of the request."""

    status: int
    reason: str
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {self.reason}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([*lines, f"Content-Length: {len(self.body)}", "", ""]).encode() + self.body


Before = Callable[[Request], Awaitable["Fate | Answer"]]
After = Callable[[Request], Awaitable[Fate]]


@dataclass
class Rule:
    """What happens to the `nth` and later matching requests, `times` of them.

    `before` decides when the request is here and the server has not heard of it; `after` when the server has begun
    to answer and the client has not heard of it.
    """

    matches: Callable[[Request], bool]
    before: Before | None = None
    after: After | None = None
    nth: int = 1
    times: int = 1
    seen: int = 0

    def hits(self, request: Request) -> bool:
        if not self.matches(request):
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times

    @property
    def fired(self) -> bool:
        return self.seen >= self.nth


@dataclass(eq=False)
class _Link:
    """One client connection with its own connection to the server, and the request it is about just now."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    request: Request | None = None
    after: list[After] = field(default_factory=list)
    cut_next_line: bool = False

    def abort(self) -> None:
        for writer in (self.client, self.server):
            if writer is not None:
                writer.transport.abort()


class Proxy:
    """`url` is where driftd is to go. All methods are for the loop that runs it."""

    def __init__(self, target: str, inner: ssl.SSLContext, outer: ssl.SSLContext) -> None:
        where = urlsplit(target)
        assert where.hostname is not None
        assert where.port is not None
        self._host, self._port = where.hostname, where.port
        self._inner, self._outer = inner, outer
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._frozen: Callable[[Request], bool] | None = None
        self._moved = asyncio.Event()
        self._refusing = False
        self._delay = 0.0
        self.rules: list[Rule] = []
        self.requests: list[Request] = []
        self.url = ""

    # -- harm -----------------------------------------------------------------------------------------------------

    def rule(
        self,
        matches: Callable[[Request], bool],
        *,
        before: Before | None = None,
        after: After | None = None,
        nth: int = 1,
        times: int = 1,
    ) -> Rule:
        """Put a rule in force; it stays in `rules` until it is taken out."""
        one = Rule(matches, before, after, nth, times)
        self.rules.append(one)
        return one

    def freeze(self, matches: Callable[[Request], bool]) -> None:
        """Let nothing more come back on connections whose present request matches, and keep them open."""
        self._frozen = matches
        self._move()

    def thaw(self) -> None:
        """Let what was held back through."""
        self._frozen = None
        self._move()

    def freeze_open(self, matches: Callable[[Request], bool]) -> int:
        """Freeze the connections that match now, but none that is opened later; how many."""
        dead = [link.request for link in self._links if link.request is not None and matches(link.request)]
        self.freeze(lambda request: any(request is one for one in dead))
        return len(dead)

    def cut(self, matches: Callable[[Request], bool] = lambda _request: True) -> int:
        """Break connections whose present request matches; how many."""
        hit = [link for link in self._links if link.request is not None and matches(link.request)]
        for link in hit:
            link.abort()
        return len(hit)

    def cut_inside_next_line(self, matches: Callable[[Request], bool]) -> int:
        """End the streams that match in good order, but in the middle of their next line; how many will."""
        hit = [link for link in self._links if link.request is not None and matches(link.request)]
        for link in hit:
            link.cut_next_line = True
        return len(hit)

    def refuse(self, *, refusing: bool) -> None:
        """Whether new connections are broken at once (and, when that begins, all open ones)."""
        self._refusing = refusing
        if refusing:
            for link in list(self._links):
                link.abort()

    def slow(self, seconds: float) -> None:
        """Let all that the server says from now on take so much longer, answers and streams, in its order."""
        self._delay = seconds

    def watching(self, plural: str) -> int:
        """How many open watches of a kind go through here just now."""
        return sum(1 for link in self._links if link.request is not None and is_watch_of(plural)(link.request))

    # -- the way through ------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncIterator["Proxy"]:
        """Listen there (port 0: a free one) until the block ends."""
        server = await asyncio.start_server(self._accept, host, port, ssl=self._outer, ssl_handshake_timeout=10)
        self.url = f"https://{host}:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for link in list(self._links):
                link.abort()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer)
        self._links.add(link)
        back: asyncio.Task[None] | None = None
        try:
            if self._refusing:
                return
            upstream, link.server = await asyncio.open_connection(self._host, self._port, ssl=self._inner)
            back = asyncio.ensure_future(self._return(link, upstream))
            while (request := await _read_request(reader)) is not None:
                if not await self._forward(link, request):
                    return
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # either side hung up: that is what this proxy is for
        finally:
            link.abort()
            self._links.discard(link)
            if back is not None:
                back.cancel()
                await asyncio.gather(back, return_exceptions=True)

    async def _forward(self, link: _Link, request: Request) -> bool:
        assert link.server is not None
        self.requests.append(request)
        link.request, link.after, link.cut_next_line = request, [], False
        for rule in list(self.rules):
            if not rule.hits(request):
                continue
            if rule.before is not None:
                fate = await rule.before(request)
                if isinstance(fate, Answer):
                    link.client.write(fate.encode())
                    await link.client.drain()
                    return True
                if fate is Fate.CUT:
                    return False
            if rule.after is not None:
                link.after.append(rule.after)
        link.server.write(request.head + request.body)
        await link.server.drain()
        return True

    async def _return(self, link: _Link, upstream: asyncio.StreamReader) -> None:
        said: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        hearing = asyncio.ensure_future(self._hear(upstream, said))
        try:
            while data := await self._due(link, said):
                deeds, link.after = link.after, []
                for deed in deeds:
                    assert link.request is not None
                    if await deed(link.request) is Fate.CUT:
                        return
                if link.cut_next_line and (part := _half_a_line(data)):
                    link.client.write(part)
                    await link.client.drain()
                    link.client.write_eof() if link.client.can_write_eof() else link.client.close()
                    return
                link.client.write(data)
                await link.client.drain()
        except (OSError, ssl.SSLError):
            pass  # either side hung up
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
            link.client.close()

    async def _hear(self, upstream: asyncio.StreamReader, said: asyncio.Queue[tuple[float, bytes]]) -> None:
        """Take everything off the server's hands at once, as a middlebox does; empty for its end."""
        data = b"."
        while data:
            try:
                data = await upstream.read(65_536)
            except (OSError, ssl.SSLError):
                data = b""
            said.put_nowait((asyncio.get_running_loop().time() + self._delay, data))

    async def _due(self, link: _Link, said: asyncio.Queue[tuple[float, bytes]]) -> bytes:
        """What the server said next, when its time has come and nothing is frozen."""
        due, data = await said.get()
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        while self._frozen is not None and link.request is not None and self._frozen(link.request):
            await self._moved.wait()
        return data

    def _move(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


def is_watch_of(plural: str) -> Callable[[Request], bool]:
    """Watches of one kind; of every kind for an empty name."""
    return lambda request: request.is_watch and f"/{plural}" in request.path


def is_repair(request: Request) -> bool:
    return request.is_repair


async def cutting(_request: Request) -> Fate:
    return Fate.CUT


def _half_a_line(data: bytes) -> bytes:
    """The first half of a chunk as a chunk of its own, and the end of the stream; empty if no chunk begins here."""
    size, found, rest = data.partition(b"\r\n")
    if not found or not re.fullmatch(rb"[0-9a-fA-F]+", size) or int(size, 16) < 2:
        return b""
    half = rest[: min(int(size, 16), len(rest)) // 2]
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(half), half)


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    verb, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    assert b"transfer-encoding: chunked" not in head.lower(), "driftd sends bodies with a length"
    body = await reader.readexactly(int(length.group(1))) if length else b""
    return Request(verb, path, head, body)


@asynccontextmanager
async def fault_proxy(lab: Lab, folder: Path, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Proxy]:
    """A proxy before a lab's first API server, with a certificate that the lab's own authority signed."""
    authority = Authority.open(lab.data_dir / "pki", lab.name)
    pair = write_key_pair(folder, "proxy", authority.server("proxy", (host,)))
    outer = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    outer.load_cert_chain(str(pair.certificate), str(pair.key))
    inner = ssl.create_default_context(cadata=authority.certificate.decode())
    async with Proxy(lab.server, inner, outer).serving(host, port) as proxy:
        yield proxy
    with contextlib.suppress(FileNotFoundError):
        pair.key.unlink()
