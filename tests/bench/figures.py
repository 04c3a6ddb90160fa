"""A measured figure, its goal, and how a run of them is shown and kept."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One number. `goal` is a bound: a ceiling, or a floor with `at_least`; None for what is only told.

    `load` is the machine's one-minute load average when it was measured: other people's work inflates wall times.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None
    at_least: bool = False
    note: str = ""
    load: float = 0.0

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "goal": self.goal,
            "met": self.met,
            "at_least": self.at_least,
            "load": round(self.load, 2),
            "note": self.note,
        }


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that so many of all do not exceed (nearest rank)."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def median(samples: Sequence[float]) -> float:
    return statistics.median(samples)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def show(figures: Sequence[Figure], console: Console) -> None:
    table = Table(title="driftd: measured figures", title_justify="left")
    for column, justify in (
        ("figure", "left"),
        ("value", "right"),
        ("goal", "right"),
        ("met", "left"),
        ("load", "right"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    table.add_column("note", overflow="fold")
    for one in figures:
        bound = "" if one.goal is None else f"{'>=' if one.at_least else '<='} {one.goal:g} {one.unit}"
        met = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[one.met]
        table.add_row(
            one.name,
            f"{one.value:,.3g} {one.unit}" if one.value < 1000 else f"{one.value:,.0f} {one.unit}",
            bound,
            met,
            f"{one.load:.1f}",
            one.note,
        )
    console.print(table)


def keep(figures: Sequence[Figure], path: Path) -> None:
    """Write the figures as JSON, and what they were measured on beside them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([one.document() for one in figures], indent=2) + "\n")
    path.with_name(path.stem + "-machine.json").write_text(json.dumps(machine(), indent=2) + "\n")
