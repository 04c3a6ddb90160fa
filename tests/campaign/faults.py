"""What a campaign does to driftd and its surroundings while tampering goes on; each fault cleans up after itself."""

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import Awaitable, Callable
from random import Random

from tests.support.faulty import Scene, locked, sending
from tests.support.proxy import Answer, Fate, Request, cutting, is_repair, is_watch_of

Fault = Callable[[Scene, Random], Awaitable[None]]


async def kill_at_a_write(one: Scene, chance: Random) -> None:
    """kill -9 at some write of the next few; restarted at once."""
    killing = sending(one.daemon, signal.SIGKILL, Fate.CUT)
    nth = chance.randrange(1, 7)
    rule = (
        one.proxy.rule(is_repair, after=killing, nth=nth)
        if chance.random() < 0.5
        else one.proxy.rule(is_repair, before=killing, nth=nth)
    )
    for _ in range(100):
        if rule.fired:
            break
        await asyncio.sleep(0.05)
    one.proxy.rules.remove(rule)
    await revive(one)


async def kill_now(one: Scene, chance: Random) -> None:
    await asyncio.sleep(chance.random())
    assert one.daemon.process is not None
    if one.daemon.process.poll() is None:
        await one.daemon.kill()
    await revive(one)


async def stop_and_start(one: Scene, chance: Random) -> None:
    await asyncio.sleep(chance.random() / 2)
    assert one.daemon.process is not None
    if one.daemon.process.poll() is None:
        code = await one.daemon.stop(40.0)
        assert code == 0, f"a stop ended with {code}"
    await revive(one)


async def freeze_daemon(one: Scene, chance: Random) -> None:
    one.daemon.send(signal.SIGSTOP)
    await asyncio.sleep(0.5 + 4 * chance.random())
    one.daemon.send(signal.SIGCONT)


async def cut_lines(one: Scene, chance: Random) -> None:
    for _ in range(chance.randrange(1, 6)):
        one.proxy.cut()
        await asyncio.sleep(chance.random() / 2)


async def cut_inside_events(one: Scene, chance: Random) -> None:
    one.proxy.cut_inside_next_line(is_watch_of(""))
    await asyncio.sleep(chance.random())


async def freeze_watches(one: Scene, chance: Random) -> None:
    one.proxy.freeze(is_watch_of(""))
    await asyncio.sleep(0.5 + 2 * chance.random())
    one.proxy.thaw()


async def slow_answers(one: Scene, chance: Random) -> None:
    one.proxy.slow(0.5 + 2 * chance.random())
    await asyncio.sleep(2 + 4 * chance.random())
    one.proxy.slow(0)


async def lose_answers(one: Scene, chance: Random) -> None:
    rule = one.proxy.rule(is_repair, after=cutting, times=chance.randrange(1, 5))
    await asyncio.sleep(1.0)
    one.proxy.rules.remove(rule)


async def refuse_with_429(one: Scene, chance: Random) -> None:
    status = b'{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"TooManyRequests","code":429}'

    async def refused(_request: Request) -> Fate | Answer:
        busy = Answer(429, "Too Many Requests", status, (("Retry-After", "1"),))
        return busy if chance.random() < 0.7 else Fate.PASS

    rule = one.proxy.rule(lambda _request: True, before=refused, times=1_000_000)
    await asyncio.sleep(1 + 2 * chance.random())
    one.proxy.rules.remove(rule)


async def restart_apiserver(one: Scene, chance: Random) -> None:
    await asyncio.sleep(chance.random() / 2)
    await (one.lab.apiserver.kill() if chance.random() < 0.5 else one.lab.apiserver.stop())
    await one.lab.apiserver.start()


async def restart_etcd(one: Scene, chance: Random) -> None:
    await asyncio.sleep(chance.random() / 2)
    await one.lab.etcd.kill()
    await one.lab.etcd.start()
    await one.lab.apiserver.wait_ready()


async def forget_the_past(one: Scene, _chance: Random) -> None:
    await one.lab.compact()
    await one.lab.apiserver.stop()
    await one.lab.apiserver.start()


async def lock_database(one: Scene, chance: Random) -> None:
    with locked(one.data / "driftd.sqlite"):
        await asyncio.sleep(0.5 + 2 * chance.random())


async def delete_lease(one: Scene, chance: Random) -> None:
    await asyncio.sleep(chance.random())
    if await one.kube.find("Lease", "driftd", "driftd") is not None:
        await one.kube.delete("Lease", "driftd", "driftd")


async def revive(one: Scene) -> None:
    """A supervisor's work: what has ended is started again."""
    assert one.daemon.process is not None
    with contextlib.suppress(subprocess.TimeoutExpired):
        await asyncio.to_thread(one.daemon.process.wait, 1.0)
    if one.daemon.process.poll() is None:
        return
    one.daemon.port = 0
    await one.daemon.start(ready=False)


GENTLE: tuple[Fault, ...] = (
    kill_at_a_write,
    kill_at_a_write,
    kill_now,
    stop_and_start,
    freeze_daemon,
    cut_lines,
    cut_inside_events,
    freeze_watches,
    slow_answers,
    lose_answers,
    refuse_with_429,
    lock_database,
    delete_lease,
)
"""What leaves the control plane alone, so that it may be shared."""
HARSH: tuple[Fault, ...] = (*GENTLE, restart_apiserver, restart_apiserver, restart_etcd, forget_the_past)
