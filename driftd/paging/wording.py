"""What a page says: one sentence to wake up to, and what to do next. Ids, counts and commands, never a body."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from driftd.paging.pages import Page, PageClass, PageState, Reason, line

_SAYS = {
    PageClass.CROSSING: "opens a way across tenants",
    PageClass.LOOSENING: "opens more than the model allows",
    PageClass.TIGHTENING: "closes what the model allows",
    PageClass.FIGHT: "is kept being changed back by somebody",
    PageClass.BLIND: "driftd cannot see part of the cluster",
    PageClass.HELD: "a newer model is not in force",
    PageClass.PAUSED: "repairs are paused",
    PageClass.STORE: "records are not going to the database",
    PageClass.EVIDENCE: "recorded evidence is gone",
    PageClass.TEST: "a test of paging, nothing is wrong",
}
_LATER = {
    PageClass.CROSSING: "opens a way across tenants for pods made later, and for none now",
    PageClass.LOOSENING: "opens more than the model allows for pods made later, and for none now",
    PageClass.TIGHTENING: "closes what the model allows for pods made later, and for none now",
}
"""Of drift that changes nothing for any pod that is known."""

_RUNBOOKS = {PageClass.HELD: "model-held", PageClass.STORE: "store-gone"}
"""Runbook pages of another name than their class: alerts of Prometheus lead there as well."""


@dataclass(frozen=True, slots=True)
class Links:
    """Where pages lead; what is empty is left out.

    `runbooks` is the address of the folder with the runbook pages, `trace` an address with `{trace_id}` in it.
    """

    runbooks: str = ""
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """One address, by the name that Alertmanager takes and the text that PagerDuty shows."""

    name: str
    text: str
    href: str


def summary_of(page: Page, cluster: str) -> str:
    """One sentence of at most 1,000 characters."""
    head = f"[{cluster or 'driftd'}] "
    if page.cls is PageClass.STORM:
        now = f", {page.standing} not over" if page.standing else ", all over"
        return line(f"{head}{page.members} pages at once{now}: {'; '.join(page.samples)}", 1000)
    whose = f"{page.about.tenant}: " if page.about.tenant else ""
    says = _SAYS[page.cls] if page.cls else "differs"
    if page.cls is PageClass.CROSSING and not _lead(page).judged:
        says = "may open a way across tenants (not judged)"
    elif page.reasons and page.cls in _LATER and _lead(page).later:
        says = _LATER[page.cls]
    tail = f" ({_state(page)}); {_lead(page).summary}" if page.reasons else ""
    return line(f"{head}{whose}{page.about} {says}{tail}", 1000)


def details_of(page: Page, cluster: str) -> Mapping[str, str]:
    """What a responder reads next. Keys without a value are left out."""
    found: dict[str, str] = {
        "cluster": cluster,
        "class": page.cls.value if page.cls else "",
        "tenant": page.about.tenant,
        "namespace": page.about.namespace,
        "object": str(page.about),
        "opened": page.opened.isoformat(),
        "state": _state(page),
        "runbook": f"docs/runbooks/{runbook_of(page.cls)}" if page.cls else "",
        "history": history_command(page),
    }
    if page.cls is PageClass.STORM:
        found |= {"pages": str(page.members), "not_over": str(page.standing), "among_them": "; ".join(page.samples)}
        del found["object"]
    elif page.reasons:
        lead = _lead(page)
        found |= {
            "finding": ", ".join(one.id for one in page.reasons[:5]),
            "what": ", ".join(dict.fromkeys(one.what for one in page.reasons)),
            "direction": lead.direction,
            "effect": lead.effect,
            "witness": lead.witness,
            "model": lead.origin,
            "claimed_by": lead.claimed_by,
            "times": str(times) if (times := max(one.times for one in page.reasons)) > 1 else "",
            "trace_id": trace_of(page),
        }
    return {key: value for key, value in found.items() if value}


def links_of(page: Page, links: Links) -> list[Link]:
    """Where this page leads."""
    found = []
    if links.runbooks and page.cls:
        found.append(Link("runbook_url", "what to do", f"{links.runbooks.rstrip('/')}/{runbook_of(page.cls)}"))
    trace = trace_of(page)
    if links.trace and trace:
        found.append(Link("trace_url", "how it was found", links.trace.replace("{trace_id}", trace)))
    return found


def runbook_of(cls: PageClass) -> str:
    """The name of the page that says what to do, in docs/runbooks."""
    return f"{_RUNBOOKS.get(cls, cls.value)}.md"


def history_command(page: Page) -> str:
    """How to ask driftd's records what happened."""
    where = f" --namespace {page.about.namespace}" if page.about.namespace else ""
    return f"driftd history{where} --since {_minute(page.opened)}"


def trace_of(page: Page) -> str:
    """The trace in which this was found, empty where none was taken."""
    return next((one.trace for one in page.reasons if one.trace), "")


def _lead(page: Page) -> Reason:
    """The reason that the page is named for: one that concerns somebody now, if there is one."""
    named = (one for one in page.reasons if one.cls is page.cls)
    return min(named, key=lambda one: one.later, default=page.reasons[0])


def _state(page: Page) -> str:
    if page.state is PageState.CHANGE:
        return "repaired"
    if page.state is PageState.RESOLVED or page.quiet is not None:
        return "over"
    return "open"


def _minute(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%MZ")
