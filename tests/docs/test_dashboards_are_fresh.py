"""The dashboards in deploy/grafana/ are the generated ones, and name data sources and spans that there are."""

import json
import re

import yaml

from driftd.engine.work import Work
from driftd.telemetry import Traces, names
from tests.docs.dashboards import FOLDER, TRACE_QUERIES, conditions, dashboards, variables
from tests.support.spans import InMemory

SOURCES = {one["uid"]: one for one in yaml.safe_load((FOLDER / "datasources.yaml").read_text())["datasources"]}
SHOWN = [json.loads(path.read_text()) for path in FOLDER.glob("*.json")]


def test_every_dashboard_is_as_generated_and_none_is_left_over() -> None:
    made = dashboards()
    assert {path: path.read_text() for path in FOLDER.glob("*.json")} == made, "run `make docs`"


def test_each_data_source_that_a_dashboard_chooses_is_provisioned_under_its_uid_and_no_other_is() -> None:
    chosen = {
        one["current"]["value"]: one["query"]
        for shown in SHOWN
        for one in shown["templating"]["list"]
        if one["type"] == "datasource"
    }
    assert chosen == {uid: one["type"] for uid, one in SOURCES.items()}


def test_a_panel_asks_a_data_source_that_its_dashboard_chooses() -> None:
    for shown in SHOWN:
        offered = {
            (one["query"], f"${{{one['name']}}}") for one in shown["templating"]["list"] if one["type"] == "datasource"
        }
        panels = [part for panel in shown["panels"] for part in (panel, *panel["targets"])]
        variables = [one for one in shown["templating"]["list"] if one["type"] == "query"]
        asked = {(one["datasource"]["type"], one["datasource"]["uid"]) for one in (*panels, *variables)}
        assert asked == offered, shown["uid"]


def test_an_exemplar_leads_to_its_trace_in_the_data_source_of_traces() -> None:
    trace = Traces(InMemory()).begin("driftd.reconcile", {})
    trace.keep()
    exemplar = Work(trace, 0.0).exemplar
    assert exemplar is not None
    (prometheus,) = [one for one in SOURCES.values() if one["type"] == "prometheus"]
    (leads,) = prometheus["jsonData"]["exemplarTraceIdDestinations"]
    assert exemplar.keys() == {leads["name"]}
    assert SOURCES[leads["datasourceUid"]]["type"] == "tempo"


def test_a_question_for_traces_names_spans_and_attributes_that_there_are() -> None:
    for title, query in TRACE_QUERIES:
        assert re.fullmatch(r"\{[^{}]+\}", query), title
        asked = conditions(query)
        assert len(asked) == query.count("&&") + 1, title
        assert asked.pop("name") in names.SPANS, title
        assert asked.pop("status", "error") == "error", title
        known = {f"span.{one}" for one in names.ATTRIBUTES} | {f"resource.{one}" for one in names.RESOURCE}
        assert asked.keys() <= known, title


def test_every_question_of_a_variable_is_one_that_a_test_asks() -> None:
    listed = [one["query"] for shown in SHOWN for one in shown["templating"]["list"] if one["type"] == "query"]
    assert listed == [f"label_values({metric}, {label})" for metric, label in variables()]
