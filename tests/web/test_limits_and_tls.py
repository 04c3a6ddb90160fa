"""The pace of one address, and a certificate that changes while it serves."""

import asyncio
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.lab.authority import Authority, write_key_pair
from driftd.web.api import RateLimit, ReloadingContext


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.floats(0, 10), st.sampled_from("ab")), max_size=60), st.integers(1, 8))
def test_no_address_gets_more_than_its_burst_and_its_rate(asked: list[tuple[float, str]], burst: int) -> None:
    clock = Seconds()
    limit = RateLimit(clock, rate=2.0, burst=burst)
    permitted: dict[str, list[float]] = {"a": [], "b": []}
    for pause, address in asked:
        clock.now += pause
        if limit.permit(address):
            permitted[address].append(clock.now)
    for times in permitted.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                assert last - first + 1 <= burst + 2.0 * (times[last] - times[first]) + 1e-6


def test_many_addresses_take_no_more_room_than_allowed() -> None:
    limit = RateLimit(Seconds(), burst=1, addresses=10)
    assert all(limit.permit(str(number)) for number in range(1000))
    assert len(limit._buckets) == 10


async def serial(port: int, trusted: Path) -> int:
    context = ssl.create_default_context(cafile=str(trusted))
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found: ssl.SSLObject = writer.get_extra_info("ssl_object")
    certificate = found.getpeercert()
    assert certificate is not None
    writer.close()
    await writer.wait_closed()
    return int(str(certificate["serialNumber"]), 16)


async def test_a_renewed_certificate_is_served_and_a_broken_one_is_not(tmp_path: Path) -> None:
    authority, clock = Authority.open(tmp_path, "authority"), Seconds()
    pair = write_key_pair(tmp_path, "api", authority.server("api", ("127.0.0.1",)))
    front = ReloadingContext(pair.certificate, pair.key, clock).front
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=front)
    async with server:
        port = server.sockets[0].getsockname()[1]
        first = await serial(port, tmp_path / "ca.crt")
        write_key_pair(tmp_path, "api", authority.server("api", ("127.0.0.1",)))
        assert await serial(port, tmp_path / "ca.crt") == first  # the files are looked at every ten seconds
        clock.now += 11
        second = await serial(port, tmp_path / "ca.crt")
        assert second != first
        pair.key.write_text("half written")
        clock.now += 11
        assert await serial(port, tmp_path / "ca.crt") == second
        pair.certificate.unlink()
        clock.now += 11
        assert await serial(port, tmp_path / "ca.crt") == second


def test_a_certificate_that_is_not_there_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        ReloadingContext(tmp_path / "no.crt", tmp_path / "no.key", Seconds())
