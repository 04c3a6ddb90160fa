"""Run the phases of `make test` one after the other, time each, and end with the 20 slowest tests.

Every phase runs even when an earlier one failed, so that one run tells everything; the exit code is 1 if any failed.
"""

import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
RESULTS = ROOT / "build" / "test-results"
REQUIRED = frozenset(os.environ.get("DRIFTD_REQUIRE", "").split(","))
IMAGE_PROGRAMS = ("buildah", "debootstrap", "runc")
"""What builds an image; the Debian packages are of the same names."""


def pytest(name: str, *args: str) -> list[str]:
    return [str(BIN / "pytest"), "-q", f"--junit-xml={RESULTS / name}.xml", *args]


PHASES: list[tuple[str, list[str]]] = [
    # As for nodes below: only where it is required.
    *(
        [("image packages", ["sh", "-c", f"apt-get update -q && apt-get install -q -y {' '.join(IMAGE_PROGRAMS)}"])]
        if "image" in REQUIRED and not all(map(shutil.which, IMAGE_PROGRAMS))
        else []
    ),
    ("lint", [str(BIN / "ruff"), "check", "driftd", "tests"]),
    ("format", [str(BIN / "ruff"), "format", "--check", "driftd", "tests"]),
    ("types", [str(BIN / "mypy")]),
    ("imports", [str(BIN / "lint-imports")]),
    (
        "unit and property",
        pytest(
            "unit",
            "--numprocesses=2",  # not the phases below: a second control plane would be load on the first
            "--dist=loadfile",
            "--ignore=tests/control_plane",
            "--ignore=tests/node",
            "--ignore=tests/campaign",
            "--ignore=tests/bench",
            "tests",
        ),
    ),
    ("lab binaries", [str(BIN / "driftd"), "lab", "build"]),
    *([("jaeger", [sys.executable, "-m", "tests.support.jaeger"])] if "jaeger" in REQUIRED else []),
    ("control plane", pytest("control_plane", "tests/control_plane")),
    # What nodes need is installed and built only where they are required: elsewhere their tests run if it is there.
    *(
        [
            ("node packages", [str(BIN / "driftd"), "lab", "packages"]),
            ("node binaries", [str(BIN / "driftd"), "lab", "build", "--nodes"]),
        ]
        if "node" in REQUIRED
        else []
    ),
    ("node", pytest("node", "tests/node")),
]


def slowest(count: int) -> list[tuple[float, str]]:
    times = []
    for file in RESULTS.glob("*.xml"):
        for case in ET.parse(file).getroot().iter("testcase"):
            times.append((float(case.get("time", "0")), f"{case.get('classname')}::{case.get('name')}"))
    return sorted(times, reverse=True)[:count]


def totals() -> tuple[int, int, int]:
    passed = failed = skipped = 0
    for file in RESULTS.glob("*.xml"):
        for suite in ET.parse(file).getroot().iter("testsuite"):
            bad = int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
            skip = int(suite.get("skipped", "0"))
            failed += bad
            skipped += skip
            passed += int(suite.get("tests", "0")) - bad - skip
    return passed, failed, skipped


def main() -> int:
    RESULTS.mkdir(parents=True, exist_ok=True)
    for old in RESULTS.glob("*.xml"):
        old.unlink()
    took: list[tuple[str, float, int]] = []
    for name, command in PHASES:
        print(f"\n=== {name}", flush=True)
        started = time.monotonic()
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        took.append((name, time.monotonic() - started, code))
    print("\n=== the 20 slowest tests")
    for seconds, test in slowest(20):
        print(f"{seconds:8.2f} s  {test}")
    print("\n=== phases")
    for name, seconds, code in took:
        print(f"{seconds:8.1f} s  {name:<20} {'ok' if code == 0 else f'FAILED ({code})'}")
    passed, failed, skipped = totals()
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if any(code for _, _, code in took) else 0


if __name__ == "__main__":
    raise SystemExit(main())
