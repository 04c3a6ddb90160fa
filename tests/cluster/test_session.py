"""Each exchange ends in bytes or in an error that says what happened."""
# ruff: noqa: PT012 (a stream fails while it is read)

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from driftd.cluster import (
    BadAnswer,
    ClusterError,
    Conflict,
    CredentialsUnusable,
    Forbidden,
    Gone,
    InCluster,
    Invalid,
    Kubeconfig,
    NotFound,
    Pace,
    ServerFault,
    Session,
    Timeouts,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from driftd.lab.authority import Authority
from tests.support.api_server import ApiServer, answer, reset, silence, status, stream
from tests.support.cluster import HandClock, write_kubeconfig
from tests.support.loopback import free_ports

PATH = "/api/v1/configmaps"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, Invalid), (401, Unauthorized), (403, Forbidden), (404, NotFound), (409, Conflict), (410, Gone),
        (422, Invalid), (429, TooManyRequests), (500, ServerFault), (503, ServerFault),
    ],
)  # fmt: skip
async def test_each_status_has_its_error(
    server: ApiServer, session: Session, code: int, kind: type[ClusterError]
) -> None:
    server.fail("PUT", PATH, answer(code, status(code, "SomeReason", "some words")), times=2)
    with pytest.raises(kind, match=rf"PUT {PATH}: {code} SomeReason: some words"):
        await session.request("PUT", PATH, body=b"{}")


async def test_the_words_of_a_failure_are_cut_and_other_bodies_never_repeated(
    server: ApiServer, session: Session
) -> None:
    server.fail("PUT", PATH, answer(422, status(422, "Invalid", "x\ny\x1b[31m" + "z" * 9000)))
    with pytest.raises(Invalid) as caught:
        await session.request("PUT", PATH, body=b"{}")
    assert len(str(caught.value)) < 400
    assert caught.value.said.message.isprintable()
    server.fail("PUT", PATH, answer(502, {"html": "SECRET"}))
    with pytest.raises(ServerFault) as other:
        await session.request("PUT", PATH, body=b"{}")
    assert "SECRET" not in str(other.value)


async def test_a_read_waits_as_long_as_the_server_asked_and_tries_again(
    server: ApiServer, session: Session, clock: HandClock
) -> None:
    server.fail("GET", PATH, answer(429, status(429, "TooManyRequests"), Retry_After="7"), times=2)
    answer_ = await session.request("GET", PATH)
    assert answer_.status == 200
    assert [round(nap, 2) for nap in clock.naps] == [7.35, 7.35]


async def test_a_server_may_not_make_us_wait_for_more_than_a_minute(
    server: ApiServer, session: Session, clock: HandClock
) -> None:
    server.fail("GET", PATH, answer(503, status(503, "ServiceUnavailable"), Retry_After="86400"))
    await session.request("GET", PATH)
    assert clock.naps == [63.0]


async def test_a_write_is_never_repeated(server: ApiServer, session: Session) -> None:
    server.fail("POST", PATH, answer(429, status(429, "TooManyRequests"), Retry_After="1"))
    with pytest.raises(TooManyRequests) as caught:
        await session.request("POST", PATH, body=b"{}")
    assert caught.value.retry_after == 1.0
    assert len(server.seen) == 1


async def test_a_server_that_never_answers_is_given_up(server: ApiServer, session: Session) -> None:
    server.fail("PUT", PATH, silence)
    with pytest.raises(Unreachable) as caught:
        await session.request("PUT", PATH, body=b"{}")
    assert caught.value.sent


async def test_a_write_on_a_connection_that_breaks_left_once_and_may_have_arrived(
    server: ApiServer, session: Session
) -> None:
    await session.request("GET", PATH)  # leaves a kept connection behind
    server.fail("PUT", PATH, reset, times=3)
    with pytest.raises(Unreachable) as caught:
        await session.request("PUT", PATH, body=b"{}")
    assert caught.value.sent
    assert server.seen[1:] == [f"PUT {PATH}"]


async def test_a_read_on_a_connection_that_breaks_is_tried_again(server: ApiServer, session: Session) -> None:
    server.fail("GET", PATH, reset, times=2)
    assert (await session.request("GET", PATH)).status == 200


async def test_a_refused_connection_delivered_nothing(pace: Pace, tmp_path: Path) -> None:
    config = write_kubeconfig(tmp_path / "k", "http://127.0.0.1:1")
    async with Session(Kubeconfig(str(config)), pace) as session:
        with pytest.raises(Unreachable) as caught:
            await session.request("PUT", PATH, body=b"{}")
    assert not caught.value.sent


async def test_redirects_are_not_followed(server: ApiServer, session: Session) -> None:
    server.fail("GET", PATH, answer(302, {}, Location="http://127.0.0.1:1/"))
    with pytest.raises(ClusterError, match="302"):
        await session.request("GET", PATH)


async def test_an_answer_over_the_limit_is_not_read_to_its_end(server: ApiServer, session: Session) -> None:
    session.body_limit = 1000
    server.fail("GET", PATH, answer(200, {"x": "y" * 5000}))
    with pytest.raises(BadAnswer, match="more than 1000 bytes"):
        await session.request("GET", PATH)


async def test_a_rotated_token_is_read_again_once_and_the_request_goes_through(
    server: ApiServer, session: Session, tmp_path: Path
) -> None:
    server.tokens = {"sesame"}
    await session.request("GET", PATH)
    server.tokens = {"fresh"}
    write_kubeconfig(tmp_path / "kubeconfig", server.host, token="fresh")
    assert (await session.request("GET", PATH)).status == 200


async def test_a_token_that_stays_refused_is_an_error(server: ApiServer, session: Session) -> None:
    server.tokens = {"other"}
    with pytest.raises(Unauthorized):
        await session.request("GET", PATH)
    assert len(server.seen) == 1


async def test_a_pods_token_file_is_read_again_each_minute(
    server: ApiServer, pace: Pace, clock: HandClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "ca.crt").write_text("not read here")
    account = InCluster(tmp_path)
    assert (await account.load(afresh=False)).api_key["BearerToken"] == "Bearer first"
    (tmp_path / "token").write_text("second")
    assert (await account.load(afresh=False)).api_key["BearerToken"] == "Bearer second"


@pytest.mark.parametrize("text", ["", "not: [a", "clusters: 3", '{"current-context": "nobody"}'])
async def test_an_unusable_kubeconfig_is_named(pace: Pace, tmp_path: Path, text: str) -> None:
    (tmp_path / "k").write_text(text)
    async with Session(Kubeconfig(str(tmp_path / "k")), pace) as session:
        with pytest.raises(CredentialsUnusable, match="kubeconfig"):
            await session.request("GET", PATH)


async def test_a_kubeconfig_that_is_not_there_is_told_as_such(pace: Pace, tmp_path: Path) -> None:
    async with Session(Kubeconfig(str(tmp_path / "nowhere")), pace) as session:
        with pytest.raises(CredentialsUnusable, match="nowhere: there is no such file"):
            await session.request("GET", PATH)


async def test_a_gate_stops_a_request_before_it_leaves(server: ApiServer, session: Session) -> None:
    def closed() -> None:
        raise RuntimeError("too late")

    with pytest.raises(RuntimeError, match="too late"):
        await session.request("PUT", PATH, body=b"{}", gate=closed)
    assert server.seen == []


async def test_a_silent_stream_is_given_up_after_the_read_deadline(server: ApiServer, session: Session) -> None:
    server.fail("GET", PATH, stream(b'{"a":1}\n', hang=True))
    lines = []
    with pytest.raises(Unreachable):
        async with session.stream(PATH, query={}, accept="application/json", timeouts=Timeouts(1, 0.1, 5)) as open_:
            async for line in open_.lines():
                lines.append(line)
    assert lines == [b'{"a":1}']


async def test_a_stream_that_ends_inside_a_line_is_no_good_end(server: ApiServer, session: Session) -> None:
    server.fail("GET", PATH, stream(b'{"a":1}\n{"b":'))
    with pytest.raises(BadAnswer, match="inside a line"):
        async with session.stream(PATH, query={}, accept="application/json", timeouts=Timeouts(1, 1, 5)) as open_:
            async for _ in open_.lines():
                pass


async def test_many_open_streams_do_not_keep_a_request_waiting(server: ApiServer, session: Session) -> None:
    server.fail("GET", "watch", stream(b"{}\n", hang=True), times=120)

    async def hold(opened: asyncio.Event) -> None:
        timeouts = Timeouts(2, 30, 30)
        async with session.stream(PATH, query={"watch": "1"}, accept="application/json", timeouts=timeouts) as open_:
            async for _ in open_.lines():
                opened.set()

    events = [asyncio.Event() for _ in range(120)]
    tasks = [asyncio.create_task(hold(event)) for event in events]
    try:
        await asyncio.gather(*(event.wait() for event in events))
        assert (await session.request("GET", PATH)).status == 200
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_proxy_of_the_environment_is_taken_unless_the_server_is_exempt(
    server: ApiServer, pace: Pace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    config = str(write_kubeconfig(tmp_path / "config", server.host))
    async with Session(Kubeconfig(config), pace) as proxied:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1 "):
            await proxied.request("PUT", PATH, body=b"{}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with Session(Kubeconfig(config), pace) as direct:
        assert (await direct.request("GET", PATH)).status == 200


async def test_a_pod_reaches_its_own_api_server_past_the_proxy_that_leads_out(
    pace: Pace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    (port,) = free_ports(1)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(port))
    (tmp_path / "token").write_text("token")
    (tmp_path / "ca.crt").write_bytes(Authority.open(tmp_path, "authority").certificate)
    async with Session(InCluster(tmp_path), pace) as session:
        with pytest.raises(Unreachable, match=f"127.0.0.1:{port} "):
            await session.request("PUT", PATH, body=b"{}")


async def test_a_netrc_of_the_user_is_never_sent_as_credentials(
    server: ApiServer, pace: Pace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    seen: list[str | None] = []

    async def look(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({})

    server.fail("GET", PATH, look)
    async with Session(Kubeconfig(str(write_kubeconfig(tmp_path / "config", server.host, token=""))), pace) as session:
        await session.request("GET", PATH)
    assert seen == [None]
