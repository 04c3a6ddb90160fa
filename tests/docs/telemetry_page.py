"""docs/telemetry.md: the spans by hand, the metrics from the class that holds them."""

from pathlib import Path

from prometheus_client.metrics_core import Metric

from driftd.telemetry import Metrics

PAGE = Path(__file__).resolve().parents[2] / "docs" / "telemetry.md"

_TABLE = "| metric | type | labels | meaning |\n|---|---|---|---|\n"
"""Everything above it is written by hand, everything below is generated."""


def telemetry_page() -> str:
    """The whole page."""
    by_hand = PAGE.read_text().partition(_TABLE)[0]
    return by_hand + _TABLE + "".join(f"{_row(one)}\n" for one in sorted(_collected(), key=lambda one: one.name))


def _collected() -> list[Metric]:
    return list(Metrics().registry.collect())


def _row(metric: Metric) -> str:
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    labels = ", ".join(f"`{one}`" for one in _labels(metric.name))
    return f"| `{name}` | {metric.type} | {labels} | {metric.documentation} |"


def _labels(name: str) -> tuple[str, ...]:
    for one in vars(Metrics()).values():
        if getattr(one, "_name", None) == name:
            return tuple(one._labelnames)
    return ()
