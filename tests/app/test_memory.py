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


def freed_kb(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the settings are those of Linux' C library")
def test_pages_of_a_list_are_given_back_when_they_have_been_read() -> None:
    assert freed_kb("given back") > 35_000
