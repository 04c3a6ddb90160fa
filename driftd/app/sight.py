"""What driftd cannot see, record, put in force, or come to a judgement about, as conditions that wake somebody."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from driftd.cluster import WORKLOADS
from driftd.drift import KindState
from driftd.paging import About, Condition, PageClass, line
from driftd.store import StoreMode, StoreState
from driftd.values import Resource

STUCK_SECONDS: Final = 120.0
"""A judgement takes milliseconds, the first pass over ten thousand pods some seconds: who takes this long is stuck."""
_FAR: Final = frozenset({"NetworkSet", *(one.kind for one in WORKLOADS)})
"""Kinds that count for governed namespaces wherever their objects stand."""

_KINDS = About("kinds", "Cluster", "kinds")
_JUDGE = About("judge", "Cluster", "judge")
_STORE = About("store", "Store", "records")
_LOST = About("lost", "Store", "lost records")
_ORPHANS = About("orphans", "Store", "orphaned namespaces")


def blind_kinds(states: Mapping[Resource, tuple[KindState, str]]) -> Iterator[Condition]:
    """One for each kind that cannot be read now; all of them are one page."""
    for resource, (state, why) in states.items():
        if state is KindState.BLIND:
            yield Condition(PageClass.BLIND, _KINDS, f"{resource} cannot be read: {line(why, 160)}", str(resource))


def missing_workloads(states: Mapping[Resource, tuple[KindState, str]]) -> Iterator[Condition]:
    """The same for pods, services and slices, which every cluster serves: one that is not served is not seen either."""
    yield from blind_kinds(states)
    for resource, (state, _) in states.items():
        if state is KindState.ABSENT:
            yield Condition(PageClass.BLIND, _KINDS, f"{resource} are not served", str(resource))


def crowded(beyond: Iterable[tuple[Resource, str]], tenant_of: Callable[[str], str | None]) -> Iterator[Condition]:
    """One for each namespace that holds more of a kind than driftd keeps; a namespace is one page.

    `beyond` are kinds and namespaces of which something is abridged, or left out. `tenant_of` is None for one that
    nobody governs: what it holds is judged nowhere, but for network sets, which rules of others find, and what leads to
    others: pods there are kept for that only.
    """
    for resource, namespace in beyond:
        tenant = tenant_of(namespace)
        if tenant is None and resource.kind in _FAR:
            tenant = ""
        if tenant is None:
            continue
        about = About(f"size {namespace}", "Namespace", namespace, namespace, tenant)
        bound = "watch.namespace_workload_bytes" if resource in WORKLOADS else "watch.namespace_bytes"
        summary = f"{resource} there are more bytes than driftd keeps ({bound}): not all of it is judged"
        yield Condition(PageClass.BLIND, about, summary, str(resource))


def stuck_judge(differences: float, workloads: float) -> Iterator[Condition]:
    """One where something has waited for so many seconds without a judgement that came to an end.

    The words are the same for as long as it lasts: other words would be another version of the page.
    """
    for what, seconds in (("what differs", differences), ("live pods and services", workloads)):
        if seconds >= STUCK_SECONDS:
            summary = (
                f"{what} has not been judged for {STUCK_SECONDS:g} s: directions stay unknown, which ranks as loosening"
            )
            yield Condition(PageClass.BLIND, _JUDGE, summary, what)


def kept_back(tenants: Iterable[str]) -> Iterator[Condition]:
    """One for each tenant whose newest files are not in force; a tenant is one page, on the tenant's route."""
    for tenant in tenants:
        about = About(f"quarantine {tenant}", "Tenant", tenant, tenant=tenant)
        summary = "its files are broken and stay at their last good version, if there is one: `driftd lint` says why"
        yield Condition(PageClass.HELD, about, summary)


def away(state: StoreState) -> Iterator[Condition]:
    """One while records go to the journal, another once it has refused one, until the database is back."""
    if state.mode is not StoreMode.OK:
        yield Condition(PageClass.STORE, _STORE, f"{state.mode.value}: {line(state.reason, 160)}")
    if state.lost:
        summary = (
            "neither database nor journal takes records: repairs go on without; their number will be in the evidence"
        )
        yield Condition(PageClass.STORE, _LOST, summary)


def unheld_orphans(unknown: str, unusable: Iterable[str]) -> Iterator[Condition]:
    """Where the store cannot tell which namespaces are held although the model has them no more: they stand unwatched.

    `unknown`: why none of them can be read; `unusable`: those whose record makes no sense.
    """
    if unknown:
        summary = f"which there are cannot be read, so that nobody holds them: {line(unknown, 160)}"
        yield Condition(PageClass.STORE, _ORPHANS, summary)
    for name in sorted(unusable):
        yield Condition(PageClass.STORE, _ORPHANS, f"what {name} was held at cannot be read: nobody holds it", name)
