"""`driftd page`: what was paged, and whether pages arrive."""

import asyncio
import json
from pathlib import Path

from driftd.cli.documents import schema_of
from tests.support.cli import Ran, driftd
from tests.support.json_schema import errors
from tests.support.pager import begin
from tests.support.pagerduty import StandIn, answering
from tests.support.paging import START, HandClock, drift

KEY = "R0UTINGKEY"


def recorded(folder: Path) -> Path:
    """A database with a page that is over and one that is open; no destination."""

    async def run() -> None:
        one = await begin(folder, HandClock())
        await one.store.begin([drift("f1"), drift("f2", "loosening", namespace="globex-prod", tenant="globex")], [])
        await one.pass_(6)
        await one.store.close_findings(["f1"], "driftd", START)
        await one.pass_(60)
        await one.store.close()

    asyncio.run(run())
    return folder / "s.db"


def tried(folder: Path, prepare: str = "") -> tuple[Ran, StandIn]:
    """`driftd page --test` against a stand-in."""

    async def run() -> tuple[Ran, StandIn]:
        folder.mkdir()
        (folder / "key").write_text(f"{KEY}\n")
        async with StandIn(folder) as stand_in:
            if prepare:
                stand_in.handling = answering(503)
            env = {
                "DRIFTD_PAGING__PAGERDUTY_KEY_FILE": str(folder / "key"),
                "DRIFTD_PAGING__PAGERDUTY_URL": stand_in.url,
                "DRIFTD_PAGING__CA_FILE": str(stand_in.ca_file),
            }
            ran = await asyncio.to_thread(driftd, "page", "--test", "-o", "json", env=env)
            return ran, stand_in

    return asyncio.run(run())


def test_pages_are_shown_newest_first_with_the_events_that_were_or_would_be_sent(tmp_path: Path) -> None:
    database = recorded(tmp_path)
    ran = driftd("page", "--database", database, "-o", "json")
    document = ran.json()
    assert ran.code == 0
    assert errors(document, schema_of("PageList")) == []
    states = {page["about"]["tenant"]: page["state"] for page in document["pages"]}
    assert states == {"acme": "resolved", "globex": "open"}
    (acme,) = (page for page in document["pages"] if page["about"]["tenant"] == "acme")
    assert [event["event_action"] for event in acme["events"]] == ["trigger", "resolve"]


def test_pages_of_one_tenant_are_shown_to_people_in_a_table(tmp_path: Path) -> None:
    ran = driftd("page", "--database", recorded(tmp_path), "--tenant", "globex")
    assert ran.code == 0
    (line,) = [one for one in ran.out.splitlines() if "globex" in one]
    assert "open" in line
    assert "error" in line
    assert "acme-prod" not in ran.out


def test_a_trial_opens_an_incident_and_ends_it(tmp_path: Path) -> None:
    ran, stand_in = tried(tmp_path / "one")
    document = ran.json()
    assert errors(document, schema_of("PageTrial")) == []
    assert (ran.code, document["accepted"]) == (0, True)
    assert [event["event_action"] for event in stand_in.events] == ["trigger", "resolve"]
    assert stand_in.incidents.open == set()
    assert "nothing is wrong" in stand_in.events[0]["payload"]["summary"]
    assert KEY not in ran.out + ran.err


def test_a_trial_that_is_not_taken_says_so_and_exits_1(tmp_path: Path) -> None:
    ran, _ = tried(tmp_path / "one", "busy")
    assert ran.code == 1
    assert {one["why"] for one in ran.json()["tries"]} == {"HTTP 503"}


def test_a_trial_without_a_destination_is_wrong_usage() -> None:
    ran = driftd("page", "--test")
    assert (ran.code, ran.out) == (2, "")
    assert "DRIFTD_PAGING__PAGERDUTY_KEY_FILE" in ran.err


def test_settings_that_are_wrong_are_told_without_what_stands_in_them() -> None:
    wrong = json.dumps([{"name": "Not A Name", "pagerduty_key": KEY}])
    for command in (("page", "--test"), ("run",), ("history",)):
        ran = driftd(*command, env={"DRIFTD_PAGING__ROUTES": wrong, "DRIFTD_PAGING__PAGERDUTY_URL": f"http://{KEY}@x"})
        assert ran.code == 2
        assert KEY not in ran.out + ran.err
