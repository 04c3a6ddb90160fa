"""A command line that is quick: what is not imported takes no time."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import commands, driftd

HEAVY = frozenset(
    [
        "rich",
        "pydantic",
        "pydantic_settings",
        "yaml",
        "orjson",
        "msgspec",
        "aiohttp",
        "structlog",
        "sqlalchemy",
        "deepdiff",
        "kubernetes_asyncio",
        "prometheus_client",
        "asyncio",
        "driftd.model",
        "driftd.compile",
        "driftd.drift",
        "driftd.cluster",
        "driftd.store",
        "driftd.engine",
        "driftd.app",
        "driftd.lab",
        "driftd.settings",
        "driftd.values",
    ]
)
MODELS = Path(__file__).parents[2] / "models"
ASK = """
import sys
sys.argv = ['driftd', *sys.argv[1:]]
from driftd.cli import main
try:
    main()
except SystemExit:
    print('\\nMODULES', *sys.modules)
"""


def modules_after(*arguments: str) -> set[str]:
    """Modules that a fresh process has imported by the end of a command."""
    done = subprocess.run([sys.executable, "-c", ASK, *arguments], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("MODULES ")[2].split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)])
def test_help_imports_nothing_but_the_command_tree(arguments: tuple[str, ...]) -> None:
    found = modules_after(*arguments)
    assert "driftd.cli.root" in found
    assert not found & HEAVY
    assert len(found) < 200, "more modules than before: find what brings them in with `python -X importtime`"


@pytest.mark.parametrize("arguments", [("check", "--help"), ("lab", "up", "--help")])
def test_help_of_a_command_imports_none_of_its_work(arguments: tuple[str, ...]) -> None:
    assert not modules_after(*arguments) & HEAVY - {"pydantic"}  # typer looks for pydantic's types once it is there


def test_lint_imports_neither_the_cluster_nor_the_store() -> None:
    found = modules_after("lint", "--models", str(MODELS))
    assert not found & {"aiohttp", "sqlalchemy", "driftd.cluster", "driftd.store", "driftd.engine", "rich"}


def test_the_daemon_loads_nothing_that_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTD_LEASE__DURATION_SECONDS", "no number")
    found = modules_after("run")
    assert "driftd.app" in found, "it ended before it had imported what it is made of"
    assert not found & {"rich", "pygments"}


def test_the_first_line_of_each_command_is_shown_whole() -> None:
    listed = driftd("--help").out.split("Commands:")[1]
    assert not [line for line in listed.splitlines() if line.endswith("...")]
    for command in ("run", "demo", "lab", "check", "diff", "compile", "lint", "schema", "history", "adopt"):
        assert f"\n  {command} " in listed


@pytest.mark.parametrize("command", commands())
def test_every_command_has_help_and_says_nothing_on_stderr(command: str) -> None:
    ran = driftd(*command.split(), "--help")
    assert ran.code == 0
    assert "Usage: " in ran.out
    assert not ran.err


@pytest.mark.parametrize("wrong", [("nonsense",), ("check", "--nonsense"), ("lint", "--models", "/nowhere")])
def test_wrong_usage_is_exit_code_two_and_leaves_stdout_empty(wrong: tuple[str, ...]) -> None:
    ran = driftd(*wrong)
    assert ran.code == 2
    assert not ran.out
    assert "Error" in ran.err
