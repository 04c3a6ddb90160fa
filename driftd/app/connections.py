"""Whether pages and traces find their way out: one connection to each destination, closed again before a word is sent.

Each is dialled as its sender would: the same authorities are trusted, and where a sender goes by the proxy of the
environment (`HTTPS_PROXY`), that proxy is dialled, and nothing is known of what lies behind it.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from yarl import URL

from driftd.app.opening import collector_of
from driftd.paging import pagerduty_trust
from driftd.settings import Settings

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
        async with asyncio.timeout(peer.seconds):
            _, writer = await asyncio.open_connection(target.host, target.port, ssl=trust)
    except (OSError, UnicodeError) as error:
        why, remedy = _wrong(error, peer, proxied=bool(proxy))
        return Dialled(f"{where} cannot be reached: {why}", remedy)
    writer.transport.abort()
    return Dialled(f"{where} takes connections" + (", its certificate is trusted" if trust is not None else ""))


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
