"""Whose evening it is: routes by tenant and plan, and maintenance windows from a file."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from driftd.paging import About, Maintenance, MaintenanceFile, PageClass, Route, Rules
from driftd.paging.maintenance import UnusableMaintenance, read
from tests.support.paging import START

ACME = About("x", "NetworkPolicy", "default-deny", "acme-prod", "acme")
ROUTES = [Route("gold", plans=frozenset({"dedicated"})), Route("acme", tenants=frozenset({"acme"}))]


def rules(plan: str = "shared") -> Rules:
    return Rules(ROUTES, lambda namespace: plan if namespace else "")


def test_a_tenant_that_is_named_counts_before_its_plan() -> None:
    assert rules("dedicated").route(ACME) == "acme"


def test_a_plan_counts_where_no_tenant_is_named() -> None:
    globex = About("x", "NetworkPolicy", "default-deny", "globex-prod", "globex")
    assert rules("dedicated").route(globex) == "gold"
    assert rules("shared").route(globex) == "default"


def test_what_is_nobodys_goes_the_general_way() -> None:
    assert rules("dedicated").route(About("kinds", "Cluster", "kinds")) == "default"


def test_a_window_counts_from_its_begin_up_to_its_end() -> None:
    window = Maintenance(START, START + timedelta(hours=1), "INC-1")
    one = Rules(maintenance=lambda: [window])
    moments = [-1, 0, 3599, 3600]
    muted = [one.muted(ACME, PageClass.TIGHTENING, START + timedelta(seconds=second)) for second in moments]
    assert muted == ["", "INC-1", "INC-1", ""]


def test_a_file_says_who_when_and_why() -> None:
    said = [
        {
            "from": "2026-11-22T02:00:00Z",
            "until": "2026-11-22T05:30:00+01:00",
            "reason": "INC-4711 see https://me:hunter2@wiki.example/x",
            "tenants": ["acme"],
            "classes": ["tightening"],
        },
        {"from": "2026-11-23T02:00:00", "until": "2026-11-23T03:00:00", "reason": "upgrade"},
    ]
    acme, everybody = read(json.dumps(said).encode())
    assert acme.end - acme.begin == timedelta(hours=2, minutes=30)
    assert acme.covers(ACME, PageClass.TIGHTENING, START)
    assert not acme.covers(ACME, PageClass.LOOSENING, START)
    assert "hunter2" not in acme.reason
    assert everybody.covers(ACME, PageClass.LOOSENING, START + timedelta(days=1))
    assert not everybody.covers(ACME, PageClass.CROSSING, START + timedelta(days=1))


@pytest.mark.parametrize(
    "wrong",
    [
        "{}",
        "[{}]",
        '[{"from": "2026-11-22", "until": "soon", "reason": ""}]',
        '[{"from": "2026-11-22T02:00:00Z", "until": "2026-11-22T01:00:00Z", "reason": "backwards"}]',
        '[{"from": "2026-11-22T02:00:00Z", "until": "2027-11-22T01:00:00Z", "reason": "a year"}]',
        '[{"from": "2026-11-22T02:00:00Z", "until": "2026-11-22T03:00:00Z", "reason": "", "tenant": "typo"}]',
        '[{"from": "2026-11-22T02:00:00Z", "until": "2026-11-22T03:00:00Z", "reason": "", "classes": ["all"]}]',
        "\udcff",
    ],
)
def test_a_file_that_does_not_say_what_it_ought_to_is_refused_whole(wrong: str) -> None:
    with pytest.raises(UnusableMaintenance):
        read(wrong.encode("utf-8", "surrogateescape"))


async def test_a_file_is_read_when_it_changes_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "maintenance.json"
    one = MaintenanceFile(file)
    await one.refresh()
    assert not one.windows
    said = [{"from": "2026-11-22T02:00:00Z", "until": "2026-11-22T03:00:00Z", "reason": "one"}]
    file.write_text(json.dumps(said))
    await one.refresh()
    assert [window.reason for window in one.windows] == ["one"]
    file.write_text("[{")
    await one.refresh()
    assert [window.reason for window in one.windows] == ["one"]
    file.unlink()
    await one.refresh()
    assert not one.windows
