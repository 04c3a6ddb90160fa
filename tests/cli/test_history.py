"""`driftd history`: the records as they are, also while a daemon writes them."""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftd.cli.documents import schema_of
from driftd.cli.failures import CommandError
from driftd.cli.records import moment_since
from driftd.store import Store, StoreOptions
from driftd.values import Direction, Finding, Witness
from tests.support.cli import Ran, driftd
from tests.support.json_schema import errors
from tests.support.postgres import PASSWORD, Server
from tests.support.records import START, SteppingClock, change, finding, intent, outcome

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


async def fill(store: Store) -> None:
    """Two lives: one healed, one open."""
    await store.begin([finding()], [intent()])
    await store.finish([outcome()], [finding(changes=(change(), change("ingress")))])
    await store.close_findings(["f1"], "driftd dir:0123456789ab", START + timedelta(seconds=2))
    other = finding("f2", namespace="globex-prod", tenant="globex", direction=Direction.TIGHTENS)
    await store.begin([other], [])


def recorded(
    folder: Path,
    during: Callable[[], Awaitable[None]] | None = None,
    and_then: Sequence[Finding] = (),
    address: str = "",
) -> Path:
    """A data folder with the records of `fill` and then more; `during` runs while the daemon's store is still open.

    With an `address` the records lie there.
    """

    async def run() -> None:
        options = StoreOptions(journal_bytes=1 << 20, idle_seconds=0.0)
        store = await Store.open(address or folder / "driftd.sqlite", SteppingClock(), folder / "journal", options)
        try:
            await fill(store)
            if and_then:
                await store.begin(and_then, [])
            if during is not None:
                await during()
        finally:
            await store.close()

    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(run())
    return folder


def test_lives_are_told_newest_first_with_what_was_done(tmp_path: Path) -> None:
    ran = driftd("history", "--data-dir", recorded(tmp_path), "-o", "json")
    assert ran.code == 0
    document = ran.json()
    assert errors(document, schema_of("History")) == []
    newest, healed = document["lives"]
    assert newest["closed"] is None
    assert healed["closedBy"] == "driftd dir:0123456789ab"
    assert healed["writes"][0]["verb"] == "replace"
    assert healed["writes"][0]["result"] == "done"
    assert not document["more"]


def test_the_table_has_a_line_a_life(tmp_path: Path) -> None:
    ran = driftd("history", "--data-dir", recorded(tmp_path))
    heading, newest, healed = ran.out.splitlines()
    assert heading.startswith("OPENED")
    assert newest.split()[2:6] == ["open", "modified", "NetworkPolicy", "globex-prod/default-deny"]
    assert "a rule that allows everything was added (and 1 more)" in healed


def test_a_life_says_what_the_difference_does_also_when_it_concerns_nobody_yet(tmp_path: Path) -> None:
    witness = Witness("acme-prod/any pod role=x", "globex-prod/db", "TCP", "5432")

    later = replace(finding("f3"), witness=witness, neutral_now=True)
    folder = recorded(tmp_path, and_then=[later])
    told = "no pod that is known gains anything now; one made later could: acme-prod/any pod role=x"
    assert f"egress to everywhere was opened; {told}" in driftd("history", "--data-dir", folder).out
    life = driftd("history", "--data-dir", folder, "-o", "json").json()["lives"][0]["finding"]
    assert (life["neutralNow"], life["effect"].startswith(told)) == (True, True)


@pytest.mark.parametrize(
    ("asked", "tenants"),
    [
        (("--tenant", "acme"), ["acme"]),
        (("--namespace", "globex-prod"), ["globex"]),
        (("--kind", "NetworkPolicy", "--limit", "1"), ["globex"]),
        (("--kind", "LimitRange"), []),
        (("--direction", "tightens"), ["globex"]),
        (("--direction", "tightens", "--direction", "Unknown"), ["globex"]),
        (("--direction", "tightens", "--direction", "loosens"), ["globex", "acme"]),
        (("--since", "2026-11-22T02:00Z"), ["globex", "acme"]),
        (("--since", "2030-01-01"), []),
    ],
)
def test_filters_narrow_the_answer(tmp_path: Path, asked: tuple[str, ...], tenants: list[str]) -> None:
    document = driftd("history", "--data-dir", recorded(tmp_path), *asked, "-o", "json").json()
    assert [life["finding"]["tenant"] for life in document["lives"]] == tenants
    assert document["more"] == ("--limit" in asked)


def test_it_answers_beside_a_running_daemon(tmp_path: Path) -> None:
    told: list[Ran] = []

    async def ask() -> None:
        told.append(await asyncio.to_thread(driftd, "history", "--data-dir", tmp_path, "-o", "json"))
        told.append(await asyncio.to_thread(driftd, "history", "--data-dir", tmp_path, "--verify"))

    recorded(tmp_path, ask)
    assert [ran.code for ran in told] == [0, 0]
    assert len(told[0].json()["lives"]) == 2
    assert told[1].out.startswith("intact: ")


def test_an_intact_chain_is_told_with_its_head_and_an_anchor_is_looked_for(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    ran = driftd("history", "--data-dir", folder, "--verify", "-o", "json")
    document = ran.json()
    assert (ran.code, document["intact"]) == (0, True)
    assert errors(document, schema_of("ChainVerification")) == []
    head = f"{document['head']['seq']}:{document['head']['hash']}"
    assert driftd("history", "--data-dir", folder, "--verify", "--anchor", head).code == 0
    later = f"{document['head']['seq'] + 1}:{'0' * 64}"
    cut = driftd("history", "--data-dir", folder, "--verify", "--anchor", later)
    assert cut.code == 1
    assert "the anchor outside knew" in cut.out


def test_a_chain_that_was_altered_is_exit_code_one(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    with closing(sqlite3.connect(folder / "driftd.sqlite")) as connection, connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute("UPDATE audit SET subject = 'nobody' WHERE seq = 3")
    ran = driftd("history", "--data-dir", folder, "--verify", "-o", "json")
    assert ran.code == 1
    assert ran.json()["firstBad"] == 3
    assert errors(ran.json(), schema_of("ChainVerification")) == []


def test_records_that_are_not_there_or_no_database_are_exit_code_three(tmp_path: Path) -> None:
    (tmp_path / "driftd.sqlite").write_text("no database at all, but long enough to be looked at as one" * 20)
    for given in (("--data-dir", tmp_path / "nowhere"), ("--data-dir", tmp_path)):
        ran = driftd("history", *given)
        assert (ran.code, ran.out) == (3, "")
        assert "cannot be read" in ran.err


@pytest.mark.parametrize(
    "wrong",
    [
        ("--since", "yesterday"),
        ("--direction", "sideways", "--direction", "tightens"),
        ("--anchor", "1:2"),
        ("--verify", "--anchor", "x"),
    ],
)
def test_wrong_filters_are_exit_code_two(tmp_path: Path, wrong: tuple[str, ...]) -> None:
    ran = driftd("history", "--data-dir", tmp_path, *wrong)
    assert (ran.code, ran.out) == (2, "")


def test_a_moment_is_so_long_ago_or_a_time_with_or_without_an_offset() -> None:
    assert moment_since("90m", NOW) == NOW - timedelta(minutes=90)
    assert moment_since("2026-11-22", NOW) == datetime(2026, 11, 22, tzinfo=UTC)
    assert moment_since("2026-11-22T14:00+02:00", NOW) == NOW
    assert moment_since(None, NOW) is None
    with pytest.raises(CommandError):
        moment_since("999999999w", NOW)


def test_lives_are_exported_one_a_line_with_the_same_filters(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    ran = driftd("history", "--data-dir", folder, "--ndjson")
    lives = [json.loads(line) for line in ran.out.splitlines()]
    document = driftd("history", "--data-dir", folder, "-o", "json").json()
    assert lives == document["lives"]
    one = driftd("history", "--data-dir", folder, "--ndjson", "--tenant", "globex", "--direction", "tightens")
    assert [json.loads(line)["finding"]["tenant"] for line in one.out.splitlines()] == ["globex"]
    assert driftd("history", "--data-dir", folder, "--ndjson", "--namespace", "nobody").out == ""


def test_exported_evidence_can_be_checked_without_driftd(tmp_path: Path) -> None:
    ran = driftd("history", "--data-dir", recorded(tmp_path), "--ndjson", "--evidence")
    assert len(checked_chain(ran.out)) > 5


def checked_chain(exported: str) -> list[str]:
    """The kinds of rows of exported evidence, which must be one whole chain."""
    rows = [json.loads(line) for line in exported.splitlines()]
    previous = "0" * 64
    for row in rows:
        content = [row[key] for key in ("seq", "at", "epoch", "kind", "subject", "payload")]
        text = previous + json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        assert row["prevHash"] == previous
        assert hashlib.sha256(text.encode()).hexdigest() == row["hash"]
        previous = row["hash"]
    return [row["kind"] for row in rows]


@pytest.mark.parametrize("wrong", [("--evidence",), ("--evidence", "--ndjson", "--tenant", "acme")])
def test_evidence_is_exported_whole_or_not_at_all(tmp_path: Path, wrong: tuple[str, ...]) -> None:
    assert driftd("history", "--data-dir", recorded(tmp_path), *wrong).code == 2


@pytest.mark.parametrize("command", ["history", "page"])
def test_the_settings_of_the_daemon_say_where_the_records_are(tmp_path: Path, command: str) -> None:
    folder = recorded(tmp_path)
    assert driftd(command, "-o", "json", env={"DRIFTD_DATA_DIR": str(folder)}).code == 0
    gone = {"DRIFTD_DATA_DIR": str(folder), "DRIFTD_STORE__URL": "postgresql://me:secret@127.0.0.1:1/driftd"}
    ran = driftd(command, env=gone)
    assert ran.code == 3, "a database by URL comes before the file of the data directory"
    assert "secret" not in ran.out + ran.err


def test_the_records_of_a_postgresql_are_told_filtered_exported_and_verified_like_those_of_a_file(
    tmp_path: Path, server: Server
) -> None:
    url = server.new_database()
    recorded(tmp_path / "postgresql", address=url)
    file = {"DRIFTD_DATA_DIR": str(recorded(tmp_path / "file"))}

    def both(*arguments: str) -> tuple[Ran, Ran]:
        return driftd("history", *arguments, env=file), driftd("history", *arguments, env={"DRIFTD_STORE__URL": url})

    questions: list[tuple[str, ...]] = [
        (),
        ("--tenant", "globex"),
        ("--namespace", "acme-prod"),
        ("--kind", "NetworkPolicy", "--limit", "1"),
        ("--direction", "tightens", "--direction", "unknown"),
        ("--since", "2026-11-22T02:00Z"),
        ("--since", "2030-01-01"),
    ]
    sizes = []
    for question in questions:
        told, there = both(*question, "-o", "json")
        assert there.code == 0, there.err
        assert {**there.json(), "database": ""} == {**told.json(), "database": ""}
        lines, lines_there = both(*question, "--ndjson")
        assert [json.loads(one) for one in lines_there.out.splitlines()] == there.json()["lives"]
        assert lines_there.out == lines.out
        sizes.append(len(there.json()["lives"]))
    assert sizes == [2, 1, 1, 1, 1, 2, 0]
    evidence, evidence_there = both("--ndjson", "--evidence")
    kinds = checked_chain(evidence_there.out)
    assert kinds == checked_chain(evidence.out) != []
    verified = both("--verify", "-o", "json")[1]
    assert (verified.code, verified.json()["rows"]) == (0, len(kinds))
    assert PASSWORD not in "".join(one.out + one.err for one in (told, there, verified))
