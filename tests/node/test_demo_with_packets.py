"""`driftd demo --nodes` as a user runs it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]


def test_the_demo_shows_a_packet_dropped_let_through_and_dropped_again_and_leaves_nothing(
    able: None, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "driftd", "demo", "--nodes", "2", "--fast"],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, errors = process.communicate(timeout=500)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            raise
    assert process.returncode == 0, said + errors
    tried = [line.split(": ")[1] for line in said.splitlines() if "packet   globex-prod/portal" in line]
    assert tried == ["dropped", "connected", "dropped"]
    assert "allowed  acme's own web reached api all the time" in said
    (page,) = [line for line in said.splitlines() if line.startswith("       page ")]
    assert "acme-prod/default-deny opens a way across tenants" in page, page
    assert "       key      driftd:shared-eu-1:" in said
    spans = [line.split() for line in said.splitlines() if line.split()[:1] and line.split()[0].startswith("driftd.")]
    assert spans[0][0] == "driftd.reconcile"
    assert {"driftd.observe", "driftd.write", "driftd.record"} <= {span[0] for span in spans}
    assert "14 of 14 tamperings healed; the cluster is as the model has it" in said
    assert "make demo-node" not in said
    assert list(tmp_path.iterdir()) == []
