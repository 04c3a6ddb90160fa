"""The API's own server: nobody gets past the door without a token, nobody keeps it open, and all that fails is told."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from driftd.documents import Problem
from driftd.store import StoreError
from driftd.web.api.handlers import PERSON, Handlers, answer
from driftd.web.api.hook import check_knock, must_be_signed
from driftd.web.api.limits import RateLimit
from driftd.web.api.problems import ApiProblem, NoSuchEndpoint, TooFast, TooLarge, Unable

BODY_BYTES: Final = 16 * 1024
_HOOK_BYTES: Final = 1024 * 1024  # a push of many commits; its words are not read
_PIECE_BYTES: Final = 64 * 1024
_SECONDS: Final = 20.0
_AT_ONCE: Final = 32
_KNOCK: Final = "/hooks/model"
_KNOCK_SECONDS: Final = 5.0
_KNOCKS_AT_ONCE: Final = 4
"""A webhook sends before anybody knows who it is: it has slots of its own, so that it never keeps people out."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = structlog.get_logger()


class ApiUnusable(Exception):
    """The API cannot be served as the settings say, and nobody should believe that it is."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"the API cannot be served: {what}: {why}; see DRIFTD_WEB__API_* in docs/settings.md")


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook: who knows the secret may have the source looked at."""

    secret_file: Path
    knocked: Callable[[], None]


class ApiServer:
    """Serves `/api` to people with a token and, if there is one, `/hooks/model` to the git server.

    Args:
        host, port: where to listen; port 0 takes a free one, told by `port` after `start`.
        tls: a server's context; None only where nobody else can listen in (loopback).
    """

    def __init__(
        self,
        handlers: Handlers,
        limit: RateLimit,
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        hook: Hook | None = None,
    ) -> None:
        self._handlers = handlers
        self._limit = limit
        self._host = host
        self._wanted_port = port
        self._tls = tls
        self._hook = hook
        self._runner: web.AppRunner | None = None
        self._under_way = {False: 0, True: 0}  # by whether it is a knock
        self.port = 0

    async def start(self) -> None:
        """Raises `ApiUnusable` where the address is taken."""
        app = web.Application(middlewares=[self._door], client_max_size=BODY_BYTES)
        app.add_routes(self._handlers.routes())
        if self._hook is not None:
            app.router.add_post(_KNOCK, self._knock)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0, keepalive_timeout=15.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._wanted_port, ssl_context=self._tls)
        try:
            await site.start()
        except OSError as error:
            raise ApiUnusable(
                f"{self._host} port {self._wanted_port}", error.strerror or type(error).__name__
            ) from error
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _door(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every request passes here: its pace, its person, its time, and the words for whatever goes wrong."""
        knock = request.path == _KNOCK
        seconds = _KNOCK_SECONDS if knock else _SECONDS
        try:
            if not self._limit.permit(request.remote or ""):
                raise TooFast
            if self._under_way[knock] >= (_KNOCKS_AT_ONCE if knock else _AT_ONCE):
                raise Unable("too many requests are under way; try again")
            self._under_way[knock] += 1
            try:
                async with asyncio.timeout(seconds):
                    return await self._inside(request, handler)
            finally:
                self._under_way[knock] -= 1
        except ApiProblem as problem:
            return _told(problem, request)
        except web.HTTPRequestEntityTooLarge:
            return _told(TooLarge(BODY_BYTES), request)
        except web.HTTPException as error:  # aiohttp's own: no such path, no such method
            return _told(NoSuchEndpoint(request.method, request.path, error.status), request)
        except TimeoutError:
            return _told(Unable(f"not done within {seconds:g} s; look before you try again"), request)
        except StoreError as error:
            _log.error("api.store", why=str(error))
            return _told(Unable("the records are away, and nothing is done that cannot be recorded"), request)

    async def _inside(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == _KNOCK:
            return await handler(request)
        request[PERSON] = await self._handlers.access.person(request.headers.get("Authorization"))
        response = await handler(request)
        if request.method != "GET":
            _log.info("api.done", method=request.method, path=request.path, by=request[PERSON].name)
        return response

    async def _knock(self, request: web.Request) -> web.Response:
        assert self._hook is not None  # noqa: S101 - there is no such route without one
        must_be_signed(request.headers)
        if (request.content_length or 0) > _HOOK_BYTES:
            raise TooLarge(_HOOK_BYTES)
        body = bytearray()
        async for piece in request.content.iter_chunked(_PIECE_BYTES):
            body += piece
            if len(body) > _HOOK_BYTES:
                raise TooLarge(_HOOK_BYTES)
        check_knock(self._hook.secret_file, request.headers, bytes(body))
        self._hook.knocked()
        return web.Response(status=202)


def _told(problem: ApiProblem, request: web.Request) -> web.Response:
    level = _log.warning if problem.status in (401, 403, 429) else _log.info
    person = request.get(PERSON)
    level(
        "api.refused",
        method=request.method,
        path=request.path,
        status=problem.status,
        by=person.name if person else "",
        remote=request.remote,
    )
    response = answer(
        Problem(status=problem.status, reason=type(problem).__name__, message=str(problem)), problem.status
    )
    if problem.retry_after is not None:
        response.headers["Retry-After"] = str(problem.retry_after)
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
