"""Logs, metrics and spans: names and attributes in one place."""

from driftd.telemetry import names
from driftd.telemetry.logs import configure_logs
from driftd.telemetry.metrics import Metrics
from driftd.telemetry.names import Attributes
from driftd.telemetry.traces import Recorder, Span, Stage, Trace, Traces, current_trace_id

__all__ = [
    "Attributes",
    "Metrics",
    "Recorder",
    "Span",
    "Stage",
    "Trace",
    "Traces",
    "configure_logs",
    "current_trace_id",
    "names",
]
