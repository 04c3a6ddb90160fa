"""The daemon's API as commands ask it: where it is, who asks, and what its refusals mean for a shell."""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from driftd.cli.exits import Exit
from driftd.cli.failures import CommandError
from driftd.cli.options import DEFAULT_API

_SECONDS = 30.0
_LONGEST_ANSWER = 8 * 1024 * 1024
_HINT = "kubectl -n driftd port-forward deployment/driftd 8081"
D = TypeVar("D")


class DaemonApi:
    """Asks the daemon, one request at a time; whatever is not done is a `CommandError`."""

    def __init__(self, address: str, token: str, ca_file: Path | None) -> None:
        self._address = _checked(address)
        self._token = token
        self._ca_file = ca_file

    def get(self, path: str, answer: type[D]) -> D:
        return asyncio.run(self._ask("GET", path, None, answer))

    def post(self, path: str, request: Any, answer: type[D]) -> D:
        return asyncio.run(self._ask("POST", path, request.model_dump_json(by_alias=True).encode(), answer))

    def delete(self, path: str, answer: type[D]) -> D:
        return asyncio.run(self._ask("DELETE", path, None, answer))

    async def _ask(self, method: str, path: str, body: bytes | None, answer: type[D]) -> D:
        import aiohttp
        from pydantic import TypeAdapter, ValidationError

        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=_SECONDS, connect=5.0)
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
                session.request(
                    method, self._address + path, data=body, ssl=self._tls(), allow_redirects=False
                ) as response,
            ):
                said = await response.content.read(_LONGEST_ANSWER)
                while not response.content.at_eof() and len(said) < _LONGEST_ANSWER:
                    said += await response.content.read(_LONGEST_ANSWER - len(said))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CommandError(
                f"{self._address} does not answer ({type(error).__name__}); reach it with `{_HINT}`, or name it with "
                "--api",
                Exit.UNKNOWN,
            ) from None
        if response.status >= 300:
            raise _refusal(self._address, response.status, said)
        try:
            return TypeAdapter(answer).validate_json(said)
        except ValidationError:
            raise CommandError(
                f"{self._address} is no daemon of this version: its answer cannot be read", Exit.UNKNOWN
            ) from None

    def _tls(self) -> ssl.SSLContext | bool:
        if self._ca_file is None:
            return True
        try:
            return ssl.create_default_context(cafile=str(self._ca_file))
        except (OSError, ssl.SSLError) as error:
            raise CommandError(f"--ca-file {self._ca_file}: {type(error).__name__}", Exit.USAGE) from None


def daemon_api(
    address: str, token_file: Path | None, ca_file: Path | None, kubeconfig: Path | None, context: str | None
) -> DaemonApi:
    """A client that asks as whoever the options name. Raises `CommandError`."""
    return DaemonApi(address, _token(token_file, kubeconfig, context), ca_file)


def requested(kind: type[D], **fields: object) -> D:
    """A request of these fields. Raises `CommandError` for what no daemon would take."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(fields)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise CommandError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", Exit.USAGE) from None


def _checked(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.path not in ("", "/"):
        raise CommandError(f"--api: expected https://host:port or {DEFAULT_API}, without path and login", Exit.USAGE)
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise CommandError(
            f"--api {address}: a token is not sent unsealed to another machine; use https, or `{_HINT}`", Exit.USAGE
        )
    return address.rstrip("/")


def _token(token_file: Path | None, kubeconfig: Path | None, context: str | None) -> str:
    if token_file is not None:
        try:
            token = token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"--token-file {token_file}: {type(error).__name__}", Exit.USAGE) from None
    else:
        token = asyncio.run(_own_token(kubeconfig, context))
    if not token:
        raise CommandError(
            "there is no token to ask with: the kubeconfig logs in by certificate, which stays between you and the API "
            "server; make one (kubectl create token ACCOUNT) and name it with --token-file",
            Exit.USAGE,
        )
    return token


async def _own_token(kubeconfig: Path | None, context: str | None) -> str:
    from driftd.cluster import CredentialsUnusable, default_credentials

    try:
        found = await default_credentials(str(kubeconfig) if kubeconfig else None, context).load(afresh=True)
    except CredentialsUnusable as error:
        raise CommandError(f"no login to ask with: {error}", Exit.UNKNOWN) from None
    keys: Mapping[str, str] = found.api_key
    scheme, _, token = keys.get("BearerToken", "").strip().rpartition(" ")
    return token if scheme.lower() in ("", "bearer") else ""


def _refusal(address: str, status: int, said: bytes) -> CommandError:
    """The daemon's own words; what was asked wrongly is usage, all else is not done."""
    from pydantic import ValidationError

    from driftd.cli.show import printable
    from driftd.documents import Problem

    try:
        problem = Problem.model_validate_json(said)
    except ValidationError:
        return CommandError(
            f"{address} answers {status}, and not like driftd's API: is it another server?", Exit.UNKNOWN
        )
    return CommandError(printable(problem.message), Exit.USAGE if status in (400, 413) else Exit.UNKNOWN)
