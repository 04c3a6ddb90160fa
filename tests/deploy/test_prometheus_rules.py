"""The shipped Prometheus rules, held by promtool; and every alert leads to a page that exists."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support.debian import program

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "prometheus"


def promtool(*args: str) -> str:
    done = subprocess.run(
        [program("prometheus", "promtool"), *args], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _loaded(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return loaded


def test_the_rules_are_valid() -> None:
    assert "SUCCESS" in promtool("check", "rules", "rules.yaml")


def test_alerts_fire_when_they_should_and_not_before() -> None:
    assert "SUCCESS" in promtool("test", "rules", "rules_test.yaml")


def test_every_alert_is_tried_firing_and_silent_and_every_recording_by_its_value() -> None:
    rules = [rule for group in _loaded("rules.yaml")["groups"] for rule in group["rules"]]
    tests = _loaded("rules_test.yaml")["tests"]
    tried = [one for test in tests for one in test.get("alert_rule_test", ())]
    alerts = {rule["alert"] for rule in rules if "alert" in rule}
    assert {one["alertname"] for one in tried if one.get("exp_alerts")} == alerts
    assert {one["alertname"] for one in tried if not one.get("exp_alerts")} == alerts - {"DriftdWatchdog"}
    asked = {one["expr"] for test in tests for one in test.get("promql_expr_test", ())}
    assert asked == {rule["record"] for rule in rules if "record" in rule}


def test_every_alert_has_a_severity_a_summary_and_a_runbook_that_exists() -> None:
    groups = _loaded("rules.yaml")["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert alerts
    for alert in alerts:
        assert alert["labels"]["severity"] in {"critical", "warning", "info", "none"}
        assert alert["annotations"]["summary"]
        assert (ROOT / alert["annotations"]["runbook"]).is_file(), alert["annotations"]["runbook"]
