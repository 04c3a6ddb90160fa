"""Logs, metrics and spans: names and attributes in one place."""

from driftd.telemetry.logs import configure_logs
from driftd.telemetry.metrics import Metrics

__all__ = ["Metrics", "configure_logs"]
