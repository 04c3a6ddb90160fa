"""Whether pages and traces find their way out: one connection to each destination, closed again before a word is sent.

Each is dialled as its sender would: the same authorities are trusted, and where a sender goes by the proxy of the
environment (`HTTPS_PROXY`), that proxy is dialled, and nothing is known of what lies behind it.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, TypeAlias

from yarl import URL

from driftd.app.opening import collector_of
from driftd.paging import pagerduty_trust
from driftd.settings import Settings

_Found: TypeAlias = tuple[socket.AddressFamily, Any]
"""An address of a host, as `socket` names it."""
_EGRESS = "see that egress to it is open (networkPolicy.egress of the chart's values, a firewall between)"


@dataclass(frozen=True, slots=True)
class Peer:
    """One address outside. `trust` says who is believed to be it, `authorities` which setting that is."""

    name: str
    url: str
    trust: Callable[[], ssl.SSLContext]
    authorities: str
    seconds: float
    by_proxy: bool = False


class _NoDnsError(OSError):
    """Nobody said what address a name has."""


@dataclass(frozen=True, slots=True)
class Dialled:
    """What came of dialling: `seen` names no more of the address than scheme, host and port; no `remedy`: all well."""

    seen: str
    remedy: str = ""


def pagers(settings: Settings) -> tuple[Peer, ...]:
    """Every destination of pages once, whatever routes lead there."""
    paging = settings.paging
    ca, seconds, named = paging.ca_file, paging.timeout_seconds, "DRIFTD_PAGING__CA_FILE"
    keys = [(paging.pagerduty_key, paging.pagerduty_key_file)]
    keys += [(route.pagerduty_key, route.pagerduty_key_file) for route in paging.routes]
    found = []
    if any(key.get_secret_value() or file for key, file in keys):
        found.append(
            Peer("PagerDuty", paging.pagerduty_url, lambda: pagerduty_trust(ca), named, seconds, by_proxy=True)
        )
    urls = dict.fromkeys(paging.alertmanager_urls)
    return (*found, *(Peer("Alertmanager", url, lambda: _trust(ca), named, seconds) for url in urls))


def collector(settings: Settings) -> Peer | None:
    """Whom traces are sent to, if anybody."""
    url = collector_of(settings.telemetry)
    seconds = settings.telemetry.timeout_seconds
    named = "OTEL_EXPORTER_OTLP_CERTIFICATE"
    return Peer("collector", url, lambda: _collector_trust(url), named, seconds, by_proxy=True) if url else None


async def dial(peer: Peer) -> Dialled:
    """Connect, shake hands where it is https, and hang up. Never raises for what the outside may do."""
    url = _address(peer.url)
    proxy = _proxy(peer.url) if url is not None and peer.by_proxy else None
    target = _address(proxy) if proxy else url
    if url is None or target is None or target.host is None:
        return Dialled(
            "its address, or its proxy's, is not one", "write it as https://host:port, and the path behind it"
        )
    where = f"{target.origin()}, the proxy to {url.origin()}," if proxy else str(url.origin())
    try:
        trust = peer.trust() if url.scheme == "https" and not proxy else None
    except OSError as error:
        why = type(error).__name__
        return Dialled(f"{where}: the certificates to trust cannot be read ({why})", f"see {peer.authorities}")
    try:
        addresses = await _resolved(target, peer.seconds)
        async with asyncio.timeout(peer.seconds):
            sock = await _connected(addresses)
            _, writer = await asyncio.open_connection(
                sock=sock, ssl=trust, server_hostname=target.host if trust else None
            )
    except (OSError, UnicodeError) as error:
        why, remedy = _wrong(error, peer, proxied=bool(proxy))
        return Dialled(f"{where} cannot be reached: {why}", remedy)
    writer.transport.abort()
    return Dialled(f"{where} takes connections" + (", its certificate is trusted" if trust is not None else ""))


async def _resolved(target: URL, seconds: float) -> list[_Found]:
    """The addresses of a host; raises `_NoDnsError` where nobody says them within that time.

    In a thread that nobody waits for: a resolver that gets no answer goes on asking, and the loop would not end before.
    """
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[list[_Found] | Exception] = loop.create_future()

    def take(answer: list[_Found] | Exception) -> None:
        if not answered.done():
            answered.set_result(answer)

    def ask() -> None:
        try:
            answer: list[_Found] | Exception = [
                (family, address)
                for family, *_, address in socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            ]
        except (OSError, UnicodeError) as error:
            answer = error
        with suppress(RuntimeError):  # the loop is closed: it was too late
            loop.call_soon_threadsafe(take, answer)

    Thread(target=ask, name="driftd-resolver", daemon=True).start()
    try:
        async with asyncio.timeout(seconds):
            answer = await answered
    except TimeoutError as error:
        raise _NoDnsError(f"DNS did not answer within {seconds:g} s") from error
    if isinstance(answer, Exception):
        raise answer
    return answer


async def _connected(found: Sequence[_Found]) -> socket.socket:
    """A connection to the first address that takes one; raises what the first of them said."""
    errors: list[OSError] = []
    for family, address in found:
        with ExitStack() as unless_connected:
            try:
                sock = unless_connected.enter_context(socket.socket(family, socket.SOCK_STREAM))
                sock.settimeout(0)
                await asyncio.get_running_loop().sock_connect(sock, address)
            except OSError as error:
                errors.append(error)
            else:
                unless_connected.pop_all()
                return sock
    raise errors[0] if errors else OSError("its name has no address")


def _address(text: str) -> URL | None:
    try:
        url = URL(text)
    except ValueError:
        return None
    return url if url.scheme in ("http", "https") and url.host and url.port else None


def _wrong(error: OSError | UnicodeError, peer: Peer, *, proxied: bool) -> tuple[str, str]:
    """Why, and what to do about it."""
    match error:
        case ssl.SSLCertVerificationError():
            why = f"its certificate is not trusted ({error.verify_message})"
            return why, f"name its authority in {peer.authorities}"
        case ssl.SSLError():
            return f"no TLS ({error.reason})", "see what listens there, and whether its address is an https one"
        case _NoDnsError():
            return str(error), "see that egress to DNS is open (networkPolicy.dns of the chart's values)"
        case socket.gaierror() | UnicodeError():
            return (
                "its name is not known",
                "see its address, and that DNS answers (networkPolicy.dns of the chart's values)",
            )
        case TimeoutError():
            proxy = ", or name the proxy that leads out (HTTPS_PROXY)" if peer.by_proxy and not proxied else ""
            return f"no answer within {peer.seconds:g} s", f"{_EGRESS}{proxy}"
    return error.strerror or str(error) or type(error).__name__, f"see that it runs and listens there; {_EGRESS}"


def _proxy(url: str) -> str | None:
    """The proxy that the environment has for this address."""
    from requests.utils import get_environ_proxies, select_proxy  # noqa: PLC0415 - a daemon has no need of it

    found = select_proxy(url, get_environ_proxies(url))
    return found if found is None or "://" in found else f"http://{found}"


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def _collector_trust(url: str) -> ssl.SSLContext:
    """What OpenTelemetry's exporter, and `requests` below it, take from their variables."""
    from requests import Session  # noqa: PLC0415 - a daemon without a collector has no need of it
    from requests.utils import DEFAULT_CA_BUNDLE_PATH  # noqa: PLC0415 - as before

    def variable(name: str) -> str | None:
        return os.environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}")

    with Session() as session:
        session.verify = variable("CERTIFICATE") or True
        chosen = session.merge_environment_settings(url, {}, None, None, None)["verify"]
    named = Path(chosen if isinstance(chosen, str) else DEFAULT_CA_BUNDLE_PATH)
    trust = ssl.create_default_context(capath=named) if named.is_dir() else ssl.create_default_context(cafile=named)
    own = variable("CLIENT_CERTIFICATE")
    if own:
        trust.load_cert_chain(own, variable("CLIENT_KEY"))
    return trust
