"""The command line as a test runs it: in this process, with what came out on each side."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer.main
from typer.testing import CliRunner

from driftd.cli.root import app
from tests.support.model_texts import CLUSTER, PLAN


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """The document on stdout, which must hold nothing else."""
        document: dict[str, Any] = json.loads(self.out)
        return document


def driftd(*arguments: str | Path, stdin: str = "", env: Mapping[str, str] | None = None) -> Ran:
    """Run `driftd ...`. A traceback is a failure of the test, never an exit code."""
    result = CliRunner().invoke(app, [str(one) for one in arguments], input=stdin, env=dict(env or {}))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


Items = list[dict[str, Any]]


def dump(models: Path, tamper: Callable[[Items], object] = lambda items: None) -> str:
    """What the cluster would answer if it held the model, tampered with."""
    listed = driftd("compile", "--models", models, "-o", "json").json()
    tamper(listed["items"])
    return json.dumps(listed)


def commands() -> list[str]:
    """Every command and sub-command, as one types it."""
    root = typer.main.get_command(app)
    found = []
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        found.append(name)
        found += [f"{name} {below}" for below in getattr(command, "commands", {})]
    return found


def write_model(root: Path, **texts: str) -> Path:
    """A model directory of documents by file name, beside a cluster and a plan unless these are given too."""
    root.mkdir(parents=True, exist_ok=True)
    for name, text in {"cluster": CLUSTER, "plan": PLAN, **texts}.items():
        (root / f"{name}.yaml").write_text(text)
    return root
