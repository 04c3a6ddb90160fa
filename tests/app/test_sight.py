"""What driftd cannot see wakes somebody, in words that do not change while it lasts."""

from datetime import UTC, datetime

import pytest

from driftd.app.sight import (
    STUCK_SECONDS,
    away,
    blind_kinds,
    crowded,
    missing_workloads,
    stuck_judge,
    unheld_orphans,
)
from driftd.cluster import POD, SERVICE, SLICE
from driftd.drift import KindState
from driftd.paging import PageClass
from driftd.store import StoreMode, StoreState
from driftd.values import Resource

READY = dict.fromkeys((POD, SERVICE, SLICE), (KindState.READY, ""))


def test_all_well_is_nobodys_alarm() -> None:
    assert list(missing_workloads(READY)) == []
    assert list(stuck_judge(0.0, STUCK_SECONDS - 1)) == []


def test_lost_records_are_a_page_beside_that_of_the_journal_until_the_database_is_back() -> None:
    """A journal that was full changed the words of a page that people had: nobody was told of it."""
    since = datetime(2026, 11, 22, tzinfo=UTC)
    assert list(away(StoreState(StoreMode.OK, since))) == []
    (waits,) = away(StoreState(StoreMode.JOURNALLING, since, "locked"))
    gone, lost = away(StoreState(StoreMode.GONE, since, "locked; the journal is full", 1))
    assert gone.id == waits.id
    assert lost.id not in (gone.id, waits.id)
    again, more = away(StoreState(StoreMode.JOURNALLING, since, "a small one had room", 7))
    assert (again.id, more) == (waits.id, lost)
    assert {one.cls for one in (waits, lost)} == {PageClass.STORE}


@pytest.mark.parametrize("kind", [POD, SERVICE, SLICE])
def test_blind_workloads_are_told_like_a_blind_kind(kind: object) -> None:
    states = READY | {kind: (KindState.BLIND, "403 forbidden\n")}
    (found,) = missing_workloads(states)  # type: ignore[arg-type]
    assert (found.cls, found.part) == (PageClass.BLIND, str(kind))
    assert found.summary == f"{kind} cannot be read: 403 forbidden "
    assert found in list(blind_kinds(states))  # type: ignore[arg-type]


def test_workloads_that_are_not_served_are_told_and_a_list_under_way_is_not() -> None:
    (found,) = missing_workloads(READY | {SLICE: (KindState.ABSENT, "404")})
    assert found.summary == "endpointslices.discovery.k8s.io are not served"
    assert list(missing_workloads(READY | {POD: (KindState.SYNCING, "not listed yet")})) == []


def test_a_stuck_judge_is_one_page_whose_words_stay_the_same() -> None:
    first = list(stuck_judge(STUCK_SECONDS, STUCK_SECONDS + 7))
    assert first == list(stuck_judge(STUCK_SECONDS + 60, STUCK_SECONDS + 90))
    assert len({one.about for one in first}) == 1
    assert len({one.id for one in first}) == 2


def test_a_governed_namespace_that_is_too_large_is_told_and_no_other() -> None:
    accounts = Resource("", "v1", "ServiceAccount", "serviceaccounts")
    sizes = {(POD, "acme"), (accounts, "acme"), (accounts, "strangers")}
    found = list(crowded(sizes, {"acme": "acme-inc"}.get))
    assert len(found) == len({one.id for one in found}) == 2
    assert {(one.about.namespace, one.about.tenant) for one in found} == {("acme", "acme-inc")}
    assert {("workload" in one.summary) for one in found} == {True, False}


@pytest.mark.parametrize("kind", [Resource("projectcalico.org", "v3", "NetworkSet", "networksets"), SERVICE, SLICE])
def test_what_counts_for_others_and_is_too_large_is_told_wherever_it_is(kind: Resource) -> None:
    """Rules of others find network sets by their labels, and slices lead to whomever they list."""
    (found,) = crowded({(kind, "strangers")}, {"acme": "acme-inc"}.get)
    assert (found.about.namespace, found.about.tenant) == ("strangers", "")


def test_orphans_that_nobody_can_name_are_told_and_so_is_one_whose_record_makes_no_sense() -> None:
    assert list(unheld_orphans("", ())) == []
    (unknown,) = unheld_orphans("disk\ngone", ())
    assert (unknown.cls, unknown.summary.endswith(": disk gone")) == (PageClass.STORE, True)
    lost = list(unheld_orphans("", ["b", "a"]))
    assert [one.part for one in lost] == ["a", "b"]
    assert {one.about for one in lost} == {unknown.about}
