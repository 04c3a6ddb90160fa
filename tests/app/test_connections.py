"""Whether whoever is told of pages and traces can be reached: dialled as the senders would, and told nothing."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest
from pydantic import SecretStr

from driftd.app.connections import Peer, collector, dial, pagers
from driftd.app.doctor import State, _connections
from driftd.settings import PagingSettings, RouteSettings, Settings, TelemetrySettings
from tests.support.loopback import free_ports
from tests.support.pagerduty import StandIn

KEY = SecretStr("R0UTINGKEY")
VARIABLES = (
    *(f"{name}_PROXY" for name in ("HTTP", "HTTPS", "ALL", "NO")),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "OTEL_SDK_DISABLED"),
    *(f"OTEL_EXPORTER_OTLP_{name}" for name in ("ENDPOINT", "TRACES_ENDPOINT", "CERTIFICATE", "TRACES_CERTIFICATE")),
)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's own proxies and authorities."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def settings(folder: Path, *, endpoint: str = "", **paging: object) -> Settings:
    paging = {"timeout_seconds": 2.0, **paging}
    telemetry = TelemetrySettings(otlp_endpoint=endpoint, timeout_seconds=2.0)
    return Settings(data_dir=folder, paging=PagingSettings.model_validate(paging), telemetry=telemetry)


@dataclass
class Listener:
    """Takes connections on loopback, never says a word, and keeps what it hears."""

    port: int = 0
    heard: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def listener() -> AsyncIterator[Listener]:
    one = Listener()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            one.heard.append(await reader.read())
        except ConnectionError:
            one.heard.append(b"")
        finally:
            writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    async with server:
        yield one


def only(peers: tuple[Peer, ...]) -> Peer:
    (peer,) = peers
    return peer


def test_each_destination_is_dialled_once_whatever_routes_lead_there(tmp_path: Path) -> None:
    routes = [RouteSettings(name="gold", pagerduty_key=KEY), RouteSettings(name="blue", pagerduty_key=KEY)]
    urls = ("http://a:9093", "http://b:9093", "http://a:9093")
    assert pagers(settings(tmp_path)) == ()
    assert [one.name for one in pagers(settings(tmp_path, pagerduty_key=KEY))] == ["PagerDuty"]
    assert [one.name for one in pagers(settings(tmp_path, pagerduty_key_file=tmp_path / "key"))] == ["PagerDuty"]
    many = pagers(settings(tmp_path, routes=routes, alertmanager_urls=urls))
    assert [one.url for one in many] == ["https://events.pagerduty.com", "http://a:9093", "http://b:9093"]


async def test_an_open_port_is_connected_to_and_told_nothing(tmp_path: Path) -> None:
    async with listener() as one:
        line = await dial(only(pagers(settings(tmp_path, alertmanager_urls=(f"http://127.0.0.1:{one.port}",)))))
        assert (line.seen, line.remedy) == (f"http://127.0.0.1:{one.port} takes connections", "")
        async with asyncio.timeout(5):
            while not one.heard:
                await asyncio.sleep(0.01)
        assert one.heard == [b""]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_closed_port_is_told_without_the_secrets_of_its_address(tmp_path: Path, host: str) -> None:
    url = f"http://me:pass%2Fword@{host}:{free_ports(1)[0]}/token-in-path?token=in-query"
    line = await dial(only(pagers(settings(tmp_path, alertmanager_urls=(url,)))))
    assert f"http://{host}:" in line.seen
    assert "onnect" in line.seen
    assert "networkPolicy.egress" in line.remedy
    for secret in ("me:", "pass", "token"):
        assert secret not in line.seen + line.remedy


async def test_who_never_answers_is_waited_for_no_longer_than_a_sender_would(tmp_path: Path) -> None:
    async with listener() as one:
        url = f"https://127.0.0.1:{one.port}"
        given = settings(tmp_path, pagerduty_key=KEY, pagerduty_url=url, timeout_seconds=0.2)
        line = await asyncio.wait_for(dial(only(pagers(given))), 5)
        assert "no answer within 0.2 s" in line.seen
        assert "networkPolicy.egress" in line.remedy
        assert "HTTPS_PROXY" in line.remedy


@pytest.mark.parametrize("url", ["collector:4318", "http://[nobody", "https://:443", "ftp://x"])
async def test_what_is_no_address_is_told_and_not_repeated(tmp_path: Path, url: str) -> None:
    peer = collector(settings(tmp_path, endpoint=url))
    assert peer is not None
    line = await dial(peer)
    assert line.remedy
    assert url not in line.seen


async def test_a_name_that_nobody_knows_is_a_matter_of_dns(tmp_path: Path) -> None:
    url = f"http://{'x' * 64}.example"
    line = await dial(only(pagers(settings(tmp_path, alertmanager_urls=(url,)))))
    assert "its name is not known" in line.seen
    assert "DNS" in line.remedy


async def test_a_resolver_that_nobody_answers_is_a_matter_of_dns_and_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With egress to DNS closed the remedy named the destination's port, and the command ended half a minute late."""
    asked = Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: asked.wait(30) and [])
    given = settings(tmp_path, alertmanager_urls=("http://alertmanager.example:9093",), timeout_seconds=0.2)
    started = time.monotonic()
    line = await asyncio.to_thread(lambda: asyncio.run(dial(only(pagers(given)))))
    asked.set()
    assert time.monotonic() - started < 10
    assert "DNS did not answer within 0.2 s" in line.seen
    assert "networkPolicy.dns" in line.remedy


async def test_an_address_of_a_host_that_takes_nothing_does_not_hide_one_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listener() as one:
        stream = socket.SOCK_STREAM, 6, ""
        found = [(-7, *stream, ("of a family that is not there", 1))]
        found += [(socket.AF_INET, *stream, ("127.0.0.1", port)) for port in (free_ports(1)[0], one.port)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        line = await dial(only(pagers(settings(tmp_path, alertmanager_urls=("http://alertmanager.example:9093",)))))
        assert (line.seen, line.remedy) == ("http://alertmanager.example:9093 takes connections", "")


# -- TLS --------------------------------------------------------------------------------------------------------------


async def test_a_certificate_is_judged_by_the_authorities_that_the_sender_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with StandIn(tmp_path) as one:
        for paging in ({"pagerduty_key": KEY, "pagerduty_url": one.url}, {"alertmanager_urls": (one.url,)}):
            trusted = await dial(only(pagers(settings(tmp_path, ca_file=one.ca_file, **paging))))
            assert (trusted.remedy, "its certificate is trusted" in trusted.seen) == ("", True)
            foreign = await dial(only(pagers(settings(tmp_path, **paging))))
            assert "not trusted" in foreign.seen
            assert foreign.remedy == "name its authority in DRIFTD_PAGING__CA_FILE"
            absent = await dial(only(pagers(settings(tmp_path, ca_file=tmp_path / "absent.pem", **paging))))
            assert "cannot be read" in absent.seen
            monkeypatch.setenv("SSL_CERT_FILE", str(one.ca_file))
            assert (await dial(only(pagers(settings(tmp_path, **paging))))).remedy == ""
            monkeypatch.delenv("SSL_CERT_FILE")
        assert one.requests == 0


@pytest.mark.parametrize(
    "variable", ["OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "REQUESTS_CA_BUNDLE"]
)
async def test_a_collectors_certificate_is_judged_by_what_the_exporter_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    async with StandIn(tmp_path) as one:
        peer = collector(settings(tmp_path, endpoint=f"{one.url}/v1/traces"))
        assert peer is not None
        assert (await dial(peer)).remedy == "name its authority in OTEL_EXPORTER_OTLP_CERTIFICATE"
        monkeypatch.setenv(variable, str(one.ca_file))
        assert (await dial(peer)).remedy == ""


async def test_something_else_than_tls_is_told(tmp_path: Path) -> None:
    async def chat(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(chat, "127.0.0.1", 0)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        line = await dial(only(pagers(settings(tmp_path, alertmanager_urls=(url,)))))
    assert "no TLS" in line.seen
    assert line.remedy


# -- proxies ----------------------------------------------------------------------------------------------------------


async def test_where_a_sender_goes_by_a_proxy_the_proxy_is_dialled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = f"https://127.0.0.1:{free_ports(1)[0]}"
    async with listener() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:password@127.0.0.1:{proxy.port}")
        paging = settings(tmp_path, pagerduty_key=KEY, pagerduty_url=dead, alertmanager_urls=(dead,))
        pagerduty, alertmanager = [await dial(peer) for peer in pagers(paging)]
        assert pagerduty.remedy == ""
        assert f"127.0.0.1:{proxy.port}, the proxy to {dead}" in pagerduty.seen
        assert "password" not in pagerduty.seen
        assert alertmanager.remedy, "aiohttp takes no proxy from the environment"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert (await dial(pagers(paging)[0])).remedy


# -- the collector, and what it all means -----------------------------------------------------------------------------


def test_traces_go_where_the_settings_say_or_else_opentelemetrys_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def url(endpoint: str = "") -> str:
        peer = collector(settings(tmp_path, endpoint=endpoint))
        return peer.url if peer is not None else ""

    assert url() == ""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:4318/")
    assert url() == "http://general:4318/v1/traces"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318/x")
    assert url() == "http://traces:4318/x"
    assert url("http://said:4318/v1/traces") == "http://said:4318/v1/traces"
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert url("http://said:4318/v1/traces") == ""


async def test_a_pager_that_is_away_is_missing_and_a_collector_only_a_warning(tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_ports(1)[0]}"
    async with listener() as one:
        there = f"http://127.0.0.1:{one.port}"
        checks = await _connections(settings(tmp_path, endpoint=f"{away}/v1/traces", alertmanager_urls=(there, away)))
        found = [(check.subject, check.state, bool(check.remedy)) for check in checks]
        assert found == [
            ("Alertmanager", State.OK, False),
            ("Alertmanager", State.MISSING, True),
            ("collector", State.WARNING, True),
        ]
        (check,) = await _connections(settings(tmp_path, endpoint=f"{there}/v1/traces"))
        assert (check.subject, check.state) == ("collector", State.OK)
