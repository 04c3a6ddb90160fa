"""`driftd diff`: each line of it is a difference that counts."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from driftd.cli.documents import schema_of
from driftd.cli.unified import _MOST_PAIRS, _unified
from tests.support.cli import driftd, write_model
from tests.support.json_schema import errors
from tests.support.model_texts import environment


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_model(tmp_path / "models", shop=environment("shop", "acme"))


def tampered(models: Path, name: str = "default-deny", **spec: Any) -> str:
    listed = driftd("compile", "--models", models, "-o", "json").json()
    for one in listed["items"]:
        if one["metadata"]["name"] == name:
            one["spec"].update(spec)
    return json.dumps(listed)


def test_the_diff_names_file_and_line_and_shows_only_what_differs(models: Path) -> None:
    ran = driftd("diff", "--models", models, "--manifests", "-", stdin=tampered(models, egress=[{}]))
    assert ran.code == 1
    told = ran.out.splitlines()
    assert told[0].startswith("# NetworkPolicy shop/default-deny differs from the model (shop.yaml:1")
    assert told[1].startswith("# it opens shop/")
    assert told[2:4] == ["--- NetworkPolicy shop/default-deny (live)", "+++ shop.yaml:1 (Environment/shop)"]
    assert [line for line in told[4:] if line.startswith(("-", "+"))] == ["-  egress:", "-  - {}", "+  egress: []"]


def test_a_missing_object_is_all_plus_and_an_unexpected_one_all_minus(models: Path) -> None:
    listed = json.loads(tampered(models))
    (policy,) = [one for one in listed["items"] if one["metadata"]["name"] == "web-ingress"]
    policy["metadata"]["name"] = "renamed"
    ran = driftd("diff", "--models", models, "--manifests", "-", stdin=json.dumps(listed))
    missing, unexpected = ran.out.strip().split("\n\n")[::-1]
    assert "--- NetworkPolicy shop/web-ingress (not in the cluster)" in missing
    assert not [line for line in missing.splitlines()[5:] if not line.startswith("+")]
    assert "+++ (not in the model)" in unexpected
    assert not [line for line in unexpected.splitlines()[5:] if not line.startswith("-")]


def test_nothing_between_the_two_is_nothing_on_stdout(models: Path) -> None:
    ran = driftd("diff", "--models", models, "--manifests", "-", stdin=tampered(models))
    assert ran.code == 0
    assert not ran.out


def test_the_document_carries_the_diff_and_is_as_its_schema_says(models: Path) -> None:
    ran = driftd(
        "diff", "--models", models, "--manifests", "-", "-o", "json", stdin=tampered(models, policyTypes=["Ingress"])
    )
    document = ran.json()
    assert errors(document, schema_of("DriftReport")) == []
    assert "+  - Egress" in document["findings"][0]["diff"]


def test_two_long_sides_with_nothing_in_common_are_shown_one_after_the_other() -> None:
    count = int(_MOST_PAIRS**0.5) + 2
    before, after = [f"a{index}" for index in range(count)], [f"b{index}" for index in range(count)]
    told = _unified(["same", *before, "end"], ["same", *after, "end"], "left", "right")
    assert told[:3] == ["--- left", "+++ right", f"@@ -2,{count} +2,{count} @@"]
    assert told[3:] == [*(f"-{line}" for line in before), *(f"+{line}" for line in after)]


def on_a_terminal(models: Path, stdin: str, tmp_path: Path, **env: str) -> bytes:
    """What `driftd diff` writes to a terminal."""
    live = tmp_path / "live.json"
    live.write_text(stdin)
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "driftd", "diff", "--models", str(models), "--manifests", str(live)]
    plain = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    process = subprocess.Popen(
        command,
        stdout=inner,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env={**plain, "TERM": "xterm", **env},
    )
    os.close(inner)
    told = b""
    try:
        while part := os.read(outer, 65536):
            told += part
    except OSError:  # how a terminal says that nobody holds the other end
        pass
    finally:
        os.close(outer)
    assert process.wait(30) == 1
    return told


def test_colours_show_on_a_terminal_only_and_not_under_no_color(models: Path, tmp_path: Path) -> None:
    stdin = tampered(models, egress=[{}])
    assert b"\x1b[31m-  - {}" in on_a_terminal(models, stdin, tmp_path)
    assert b"\x1b[3" not in on_a_terminal(models, stdin, tmp_path, NO_COLOR="1")
    assert "\x1b" not in driftd("diff", "--models", models, "--manifests", "-", stdin=stdin).out
