import ssl
from asyncio.trsock import TransportSocket
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from driftd.lab.identities import issue
from driftd.lab.layout import Layout
from driftd.lab.options import LabOptions


async def _streams(request: web.Request) -> web.WebSocketResponse:
    stream = web.WebSocketResponse(protocols=("p",))
    await stream.prepare(request)
    await stream.send_str("hello")
    await stream.close()
    return stream


async def test_a_websocket_that_was_left_has_no_connection_any_more(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.pki.mkdir()
    made = issue(layout, "sockets", LabOptions())
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(str(made.keys.serving.certificate), str(made.keys.serving.key))
    application = web.Application()
    application.router.add_get("/", _streams)
    server = TestServer(application, scheme="https")
    await server.start_server(ssl=tls)
    try:
        async with made.api.websocket(f"https://127.0.0.1:{server.port}/", "p", 5.0) as stream:
            connection: TransportSocket = stream.get_extra_info("socket")
            assert await stream.receive_str() == "hello"
            await stream.receive()
        assert connection.fileno() == -1
    finally:
        await server.close()
