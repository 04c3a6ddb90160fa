"""What people decided stands in the history beside the findings."""

import asyncio
from pathlib import Path

from driftd.cli.documents import schema_of
from driftd.store import Store
from tests.support.cli import driftd
from tests.support.json_schema import errors
from tests.support.records import SteppingClock


def recorded(folder: Path) -> Path:
    async def run() -> None:
        store = await Store.open(folder / "driftd.sqlite", SteppingClock(), folder / "journal")
        await store.note("model.approved", "c0ffee", {"by": "alice", "reason": "INC-1", "held": "too much"})
        await store.note("leadership.taken", "driftd", {"epoch": "1"})
        await store.note("pause.begun", "acme-prod", {"by": "bob", "reason": "upgrade", "until": "later"})
        await store.note("pause.ended", "acme-prod", {"by": "its time", "begun_by": "bob"})
        await store.close()

    asyncio.run(run())
    return folder


def test_decisions_are_told_newest_first_with_who_and_why(tmp_path: Path) -> None:
    document = driftd("history", "--data-dir", recorded(tmp_path), "-o", "json").json()
    assert errors(document, schema_of("History")) == []
    assert [(one["act"], one["subject"], one["by"], one["reason"]) for one in document["acts"]] == [
        ("pause.ended", "acme-prod", "its time", ""),
        ("pause.begun", "acme-prod", "bob", "upgrade"),
        ("model.approved", "c0ffee", "alice", "INC-1"),
    ]


def test_a_namespace_narrows_decisions_too_and_filters_of_findings_leave_none(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    there = driftd("history", "--data-dir", folder, "-n", "acme-prod", "-o", "json").json()
    assert [one["act"] for one in there["acts"]] == ["pause.ended", "pause.begun"]
    assert driftd("history", "--data-dir", folder, "--kind", "NetworkPolicy", "-o", "json").json()["acts"] == []


def test_the_table_of_decisions_names_them(tmp_path: Path) -> None:
    lines = driftd("history", "--data-dir", recorded(tmp_path)).out.splitlines()
    assert lines[0].split() == ["AT", "DECIDED", "ABOUT", "BY", "REASON"]
    assert "alice" in lines[3]
    assert "INC-1" in lines[3]
