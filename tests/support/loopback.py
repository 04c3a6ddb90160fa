"""Real servers that tests start on loopback: ports nobody has, and waiting until one answers."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Different ones, which the kernel gives to nobody else at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind((host, 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


@asynccontextmanager
async def serving(
    command: Sequence[str | Path],
    log: Path,
    ready: Callable[[], Awaitable[bool]],
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[None]:
    """The program runs while the block does, which begins when `ready` holds; a refused connection is a no."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=env)
    try:
        await _until(ready, process, log)
        yield
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 20)


async def answers(session: aiohttp.ClientSession, url: str, status: int = 200) -> bool:
    """Whether a GET is answered with that status."""
    async with session.get(url) as answer:
        return answer.status == status


async def _until(ready: Callable[[], Awaitable[bool]], process: "subprocess.Popen[bytes]", log: Path) -> None:
    try:
        async with asyncio.timeout(30):
            while True:
                assert process.poll() is None, log.read_text(errors="replace")
                try:
                    if await ready():
                        return
                except aiohttp.ClientError:
                    pass  # it is starting
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{process.args!r} is not ready: {log.read_text(errors='replace')}") from None
