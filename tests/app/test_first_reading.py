"""The first model is read in a process of its own, and here where that one cannot."""

import os
import resource
import signal
from datetime import date
from pathlib import Path

import pytest

from driftd.app import first_reading
from driftd.engine import candidate_of
from driftd.settings import Settings
from driftd.source import LastGood, Revision, content_name
from tests.support.model_texts import CLUSTER, PLAN, environment, files

TODAY = date(2026, 11, 22)
TEXTS = {"cluster.yaml": CLUSTER, "plans.yaml": PLAN, "acme.yaml": environment("acme-prod", "acme")}
BROKEN = {**TEXTS, "acme.yaml": "kind: ["}

pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor: nothing is read beside")


def revision(texts: dict[str, str]) -> Revision:
    found = files(texts)
    return Revision(found, content_name(found))


def children() -> list[int]:
    """This process's children. Those of a thread that ends meanwhile are another's: they are counted anew."""
    while True:
        try:
            tasks = list(Path("/proc/self/task").iterdir())
            return sorted(int(child) for task in tasks for child in (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue


@pytest.mark.parametrize("texts", [TEXTS, BROKEN])
async def test_what_the_copy_reads_is_what_would_be_read_here(tmp_path: Path, texts: dict[str, str]) -> None:
    before = children()
    with first_reading(Settings(data_dir=tmp_path)) as read:
        assert len(children()) == len(before) + 1
        found = await read(revision(texts), None, TODAY)
        assert children() == before, "it answers once"
    assert found == candidate_of(revision(texts), None, TODAY)


async def test_a_copy_that_was_killed_costs_nothing_but_time(tmp_path: Path) -> None:
    before = children()
    with first_reading(Settings(data_dir=tmp_path)) as read:
        (copy,) = set(children()) - set(before)
        os.kill(copy, signal.SIGKILL)
        assert await read(revision(TEXTS), None, TODAY) == candidate_of(revision(TEXTS), None, TODAY)


async def test_a_copy_that_was_never_asked_is_gone_at_the_end(tmp_path: Path) -> None:
    before = children()
    with first_reading(Settings(data_dir=tmp_path)):
        assert children() != before
    assert children() == before


async def test_where_no_process_is_to_be_had_the_model_is_read_here(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = children()
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))  # no socket either: the same refusal
    try:
        with first_reading(Settings(data_dir=tmp_path)) as read:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            assert children() == before
            assert (await read(revision(TEXTS), None, TODAY)).compiled is not None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_a_restart_needs_no_copy(tmp_path: Path) -> None:
    await LastGood(tmp_path).keep(revision(TEXTS))
    before = children()
    with first_reading(Settings(data_dir=tmp_path)) as read:
        assert children() == before
        assert (await read(revision(TEXTS), revision(TEXTS).files, TODAY)).compiled is not None
