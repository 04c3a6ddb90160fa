"""`driftd demo` as a user runs it: every tampering healed, a readable account on stdout, nothing left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftd.lab import machine_lacks, ready_programs
from tests.support.control_plane import lacking

pytestmark = pytest.mark.control_plane


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the demo keeps everything it makes; it must be empty afterwards."""
    if ready_programs(os.environ) is None:
        lacking("control_plane", "etcd and kube-apiserver are not built yet; `driftd lab build` builds them")
    yield tmp_path
    assert list(tmp_path.iterdir()) == []
    assert _processes_of(tmp_path) == []


def _start(folder: Path, *options: str) -> "subprocess.Popen[str]":
    ours = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell has what it starts with & ignore Ctrl-C
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "driftd", "demo", *options],
            env=os.environ | {"TMPDIR": str(folder), "DRIFTD_NAMESPACE": "somebody-elses"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, ours)


def _processes_of(folder: Path) -> list[str]:
    """Command lines and environments that name the folder: the lab's programs and the daemon."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder).encode() in text and process.name != str(os.getpid()):
            found.append(command)
    return found


def _read_until(process: "subprocess.Popen[str]", words: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"ended without saying {words!r}: {lines}")


@pytest.mark.timeout(240)
def test_the_demo_heals_every_tampering_and_stays_until_it_is_told_to_end(folder: Path) -> None:
    process = _start(folder, "--stay")
    try:
        lines = _read_until(process, "audit log  ")
        said = "".join(lines)
        assert "14 of 14 tamperings healed; the cluster is as the model has it" in said
        assert "NOT OK" not in said
        assert re.search(
            r"means    loosens: acme-prod/(api|worker) -> acme-prod/replica TCP/5432", said
        )  # both may call
        assert said.count("did      mallory") == 14
        assert said.count("make demo-node") == (0 if machine_lacks() else 1)
        assert "unexpected  NetworkPolicy globex-prod/debug" in said
        assert "~ spec.hard[pods]" not in said
        assert '~ spec.hard.pods: "30" -> "5000"' in said
        data = next(line.split("--data-dir ")[1].strip() for line in lines if "--data-dir" in line)
        assert (Path(data) / "driftd.sqlite").is_file()
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0
        assert errors == ""
    finally:
        process.kill()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_demo_that_is_ended_early_leaves_nothing_behind(folder: Path, number: signal.Signals) -> None:
    process = _start(folder)
    try:
        _read_until(process, " 1/14")
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == (-number if number is signal.SIGKILL else 3)
        assert "Traceback" not in errors
    finally:
        process.kill()
    deadline = time.monotonic() + 20  # after a kill -9 it is the lab's supervisor and the kernel that clean up
    while (_processes_of(folder) or any(folder.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.1)
