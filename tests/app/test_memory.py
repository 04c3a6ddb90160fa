"""Memory that is freed goes back to the system, also where something small that stays lies behind it."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from pathlib import Path

def resident_kb():
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith("VmRSS"))

if sys.argv[1] == "given back":
    from driftd.app.memory import stay_small
    stay_small()
pages = [bytes([1]) * 100_000 for _ in range(400)]
kept = pages[-1], bytes(2_000)
full = resident_kb()
del pages
print(full - resident_kb())
"""


HOLES = """
import asyncio
from pathlib import Path
from driftd.app.memory import give_back

def resident_kb():
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith("VmRSS"))

async def main():
    giving = asyncio.create_task(give_back(every=0.05))
    words = [bytes(2_000) for _ in range(20_000)]
    kept = words[::100]
    full = resident_kb()
    del words
    for _ in range(100):
        await asyncio.sleep(0.05)
        if full - resident_kb() > 25_000:
            break
    giving.cancel()
    print(full - resident_kb())

asyncio.run(main())
"""


def freed_kb(how: str, program: str = PROGRAM) -> int:
    done = subprocess.run([sys.executable, "-c", program, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the settings are those of Linux' C library")
def test_pages_of_a_list_are_given_back_when_they_have_been_read() -> None:
    assert freed_kb("given back") > 35_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the call is that of Linux' C library")
def test_holes_between_what_stays_are_given_back_now_and_then() -> None:
    assert freed_kb("now and then", HOLES) > 25_000
