"""The Grafana dashboards of deploy/grafana/, generated: one place for their panels, their queries and their links."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "grafana"

_PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}
_TRACES = {"type": "tempo", "uid": "${traces}"}


@dataclass(frozen=True)
class Panel:
    """One panel: what it is called, how it is drawn, and its queries as (expression, legend)."""

    title: str
    drawn: str  # timeseries | stat | table | heatmap
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    meaning: str = ""
    exemplars: bool = False
    wide: bool = False


_HEAL = "driftd_time_to_heal_seconds_bucket"
_DETECT = "driftd_time_to_detect_seconds_bucket"


def _quantile(share: str, bucket: str, by: str = "") -> str:
    return f"histogram_quantile({share}, sum by (le{by}) (rate({bucket}[$__rate_interval])))"


OVERVIEW = (
    Panel(
        "May be open now",
        "stat",
        (('sum(driftd_findings_open{direction=~"loosens|mixed|unknown"}) or vector(0)', "findings"),),
        meaning="Open findings that loosen isolation, or whose direction is not known.",
    ),
    Panel("Kinds unseen", "stat", (('sum(driftd_kind_state{state=~"blind|syncing"}) or vector(0)', "kinds"),)),
    Panel("Leaders", "stat", (("sum(driftd_leading)", "leading"),), meaning="Exactly one."),
    Panel("Model held", "stat", (("max(driftd_model_held)", "held"),)),
    Panel(
        "Age of the last whole pass",
        "stat",
        (("time() - max(driftd_last_pass_timestamp_seconds)", "age"),),
        unit="s",
    ),
    Panel("Age of the model", "stat", (("time() - max(driftd_model_accepted_timestamp_seconds)", "age"),), unit="s"),
    Panel(
        "Time to heal",
        "timeseries",
        ((_quantile("0.5", _HEAL), "p50"), (_quantile("0.99", _HEAL), "p99")),
        unit="s",
        meaning="From the moment a change reached driftd to the last answer to the writes planned with its repair.",
        exemplars=True,
    ),
    Panel("Time to detect", "timeseries", ((_quantile("0.99", _DETECT), "p99"),), unit="s", exemplars=True),
    Panel(
        "Open findings by direction",
        "timeseries",
        (("sum by (direction) (driftd_findings_open)", "{{direction}}"),),
    ),
    Panel(
        "Open findings by kind and type",
        "table",
        (
            (
                "sum by (kind, type, severity) (driftd_findings_open) > 0 or sum by (kind) (driftd_mirror_objects) * 0",
                "",
            ),
        ),
    ),
    Panel(
        "Writes",
        "timeseries",
        (("sum by (verb, result) (rate(driftd_writes_total[$__rate_interval]))", "{{verb}} {{result}}"),),
        unit="ops",
    ),
    Panel("Scopes waiting", "timeseries", (("max(driftd_dirty_scopes)", "scopes"),)),
    Panel("Event loop lag", "timeseries", (("max(driftd_loop_lag_seconds)", "lag"),), unit="s"),
    Panel("Objects watched", "timeseries", (("sum by (kind) (driftd_mirror_objects)", "{{kind}}"),)),
)

TENANT = (
    Panel(
        "Open findings",
        "timeseries",
        (('sum by (severity) (driftd_tenant_findings_open{tenant=~"$tenant"})', "{{severity}}"),),
        wide=True,
    ),
    Panel(
        "Tenants with something open",
        "table",
        (("sum by (tenant, severity) (driftd_tenant_findings_open)", ""),),
        wide=True,
    ),
)

CYCLES = (
    Panel(
        "Cycles by outcome",
        "timeseries",
        (("sum by (outcome) (rate(driftd_cycles_total[$__rate_interval]))", "{{outcome}}"),),
        unit="ops",
    ),
    Panel(
        "Cycle time",
        "timeseries",
        (
            (_quantile("0.5", "driftd_cycle_seconds_bucket"), "p50"),
            (_quantile("0.99", "driftd_cycle_seconds_bucket"), "p99"),
        ),
        unit="s",
    ),
    Panel(
        "Time to heal by kind, with the traces behind it",
        "timeseries",
        ((_quantile("0.99", _HEAL, ", kind"), "{{kind}}"),),
        unit="s",
        exemplars=True,
        wide=True,
    ),
    Panel(
        "Spans",
        "timeseries",
        (("sum by (result) (rate(driftd_spans_total[$__rate_interval]))", "{{result}}"),),
        unit="ops",
        meaning="Lost: the collector did not take them.",
    ),
)

PAGING = (
    Panel("Pages open", "stat", (("sum(driftd_pages_open) or vector(0)", "pages"),)),
    Panel("Yet to be told", "stat", (("sum(driftd_outbox_depth) or vector(0)", "pages"),)),
    Panel(
        "Pages by class",
        "timeseries",
        (("sum by (class, urgency) (driftd_pages_open)", "{{class}} {{urgency}}"),),
    ),
    Panel("Outbox", "timeseries", (("max by (destination) (driftd_outbox_depth)", "{{destination}}"),)),
    Panel(
        "Deliveries",
        "timeseries",
        (
            (
                "sum by (destination, action, result) (rate(driftd_page_deliveries_total[$__rate_interval]))",
                "{{destination}} {{action}} {{result}}",
            ),
        ),
        unit="ops",
        meaning="Failed is tried again; refused is never taken, and told in the log.",
    ),
    Panel(
        "Time to page",
        "timeseries",
        ((_quantile("0.99", "driftd_time_to_page_seconds_bucket", ", class"), "{{class}}"),),
        unit="s",
        meaning="From the drift's opening to the moment a destination accepted the first page of it; each counts.",
    ),
)

DATA_SOURCES = {"prometheus": ("prometheus", "driftd-prometheus"), "traces": ("tempo", "driftd-traces")}
"""The dashboards' choices of a data source: its type, and the uid that is taken where it is provisioned."""

TRACE_QUERIES = (
    ("Repairs", '{resource.service.name="driftd" && name="driftd.reconcile" && span.driftd.outcome="repaired"}'),
    ("Cycles that failed", '{resource.service.name="driftd" && name="driftd.reconcile" && status=error}'),
    ("Pages told", '{resource.service.name="driftd" && name="driftd.page" && span.driftd.result="accepted"}'),
    ("Models", '{resource.service.name="driftd" && name="driftd.model.load"}'),
)


def dashboards() -> dict[Path, str]:
    """Every dashboard as the text of its file."""
    made = {
        "overview": _dashboard("driftd-overview", "driftd: overview", OVERVIEW),
        "tenant": _dashboard("driftd-tenant", "driftd: tenants", TENANT, variables=[_tenant()]),
        "cycles": _dashboard("driftd-cycles", "driftd: cycles and their traces", CYCLES, traces=TRACE_QUERIES),
        "paging": _dashboard("driftd-paging", "driftd: paging", PAGING),
    }
    return {FOLDER / f"{name}.json": json.dumps(body, indent=2) + "\n" for name, body in made.items()}


def queries() -> list[str]:
    """Every PromQL expression of every dashboard, as Prometheus takes it."""
    panels = (*OVERVIEW, *TENANT, *CYCLES, *PAGING)
    found = [expression for panel in panels for expression, _ in panel.queries]
    return [one.replace("$__rate_interval", "1m").replace("$tenant", ".*") for one in found]


def variables() -> list[tuple[str, str]]:
    """Of every variable whose values Prometheus is asked for: the metric and its label."""
    asked = [_LABEL_VALUES.fullmatch(one["query"]) for one in (_tenant(),)]
    return [(one[1], one[2]) for one in asked if one is not None]


def conditions(query: str) -> dict[str, str]:
    """What a TraceQL query asks of one span, by field (`name`, `status`, `span.x`, `resource.x`)."""
    return dict(_CONDITION.findall(query))


_LABEL_VALUES = re.compile(r"label_values\((\w+), (\w+)\)")
_CONDITION = re.compile(r'([\w.]+)="?([\w.]+)"?')


def write() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in dashboards().items():
        path.write_text(text)


def _dashboard(
    uid: str,
    title: str,
    panels: Sequence[Panel],
    *,
    variables: Sequence[dict[str, Any]] = (),
    traces: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    sources = [_source(name) for name in DATA_SOURCES if traces or name != "traces"]
    drawn = [*_laid_out(panels), *_trace_panels(traces)]
    for number, panel in enumerate(drawn, start=1):
        panel["id"] = number
    return {
        "uid": uid,
        "title": title,
        "tags": ["driftd"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [*sources, *variables]},
        "links": [{"type": "dashboards", "tags": ["driftd"], "title": "driftd", "asDropdown": True}],
        "panels": drawn,
    }


def _laid_out(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Left to right, top to bottom, on Grafana's 24 columns."""
    found: list[dict[str, Any]] = []
    x = y = row = 0
    for panel in panels:
        width, height = (4, 4) if panel.drawn == "stat" else (24 if panel.wide else 12, 8)
        if x + width > 24:
            x, y, row = 0, y + row, 0
        found.append(_panel(panel, {"x": x, "y": y, "w": width, "h": height}))
        x, row = x + width, max(row, height)
    return found


def _panel(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    instant = panel.drawn in {"stat", "table"}
    return {
        "type": panel.drawn,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": _PROMETHEUS,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}} if panel.drawn == "stat" else {},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _PROMETHEUS,
                "expr": expression,
                "legendFormat": legend,
                "instant": instant,
                "format": "table" if panel.drawn == "table" else "time_series",
                "exemplar": panel.exemplars,
            }
            for number, (expression, legend) in enumerate(panel.queries)
        ],
    }


def _trace_panels(traces: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {
            "type": "table",
            "title": title,
            "datasource": _TRACES,
            "gridPos": {"x": 0, "y": 100 + 8 * number, "w": 24, "h": 8},
            "targets": [{"refId": "A", "datasource": _TRACES, "queryType": "traceql", "query": query, "limit": 20}],
        }
        for number, (title, query) in enumerate(traces)
    ]


def _source(name: str) -> dict[str, Any]:
    """A choice among the data sources of one type; Grafana takes the first where ours is not there."""
    kind, uid = DATA_SOURCES[name]
    current = {"text": uid, "value": uid}
    return {"name": name, "type": "datasource", "query": kind, "label": name, "current": current}


def _tenant() -> dict[str, Any]:
    return {
        "name": "tenant",
        "type": "query",
        "label": "tenant",
        "datasource": _PROMETHEUS,
        "query": "label_values(driftd_tenant_findings_open, tenant)",
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "refresh": 2,
    }
