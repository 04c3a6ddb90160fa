"""`driftd lab up --nodes` and `driftd lab down` as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.kube import Kube
from tests.support.node import Footprint

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]


def lab(state: Path, *words: str) -> dict[str, Any]:
    """The document that a command prints, run in a process of its own with labs of its own."""
    ran = subprocess.run(
        [sys.executable, "-m", "driftd", "lab", *words, "-o", "json"],
        env=os.environ | {"XDG_STATE_HOME": str(state)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    document: dict[str, Any] = json.loads(ran.stdout)
    return document


async def test_a_lab_with_a_node_goes_on_by_itself_until_it_is_taken_down_and_leaves_nothing(
    able: None, tmp_path: Path
) -> None:
    try:
        up = lab(tmp_path, "up", "--nodes", "1")
        (name,) = up["nodes"]
        trace = Footprint.of(Path(up["data_dir"]), f"driftd-lab-{up['server'].split('.')[2]}")
        assert trace.left()
        async with Kube.connect(Path(up["kubeconfig"])) as kube:
            node = await kube.request("GET", f"/api/v1/nodes/{name}")
        assert {"type": "Ready", "status": "True"}.items() <= node["status"]["conditions"][-1].items()
        assert [one["state"] for one in lab(tmp_path, "status")["labs"]] == ["running"]
    finally:
        down = lab(tmp_path, "down", "--all")
    assert down["ended"] == ["default"]
    assert trace.left() == []
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []
