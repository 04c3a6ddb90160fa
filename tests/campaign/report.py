"""docs/campaign.md: what the last long campaign did and found, with the seed that plays it again."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.campaign.crashes import Death
from tests.campaign.pages import put
from tests.campaign.rounds import Tale


@dataclass(frozen=True)
class Figures:
    """Results of a campaign."""

    at: datetime
    seed: str
    seconds: float
    tales: Sequence[Tale]
    deaths: Sequence[Death]

    @property
    def failures(self) -> int:
        return sum(1 for tale in self.tales if tale.failure) + sum(1 for death in self.deaths if death.failure)

    @property
    def verdict(self) -> str:
        tried = f"{len(self.tales)} rounds and {len(self.deaths)} kill points in {self.seconds / 60:.1f} minutes"
        return f"{tried}: " + (f"{self.failures} FAILED" if self.failures else "every invariant held")


def write(page: Path, figures: Figures) -> None:
    """Write this part of the page anew."""
    put(page, "faults", render(figures))


def render(figures: Figures) -> str:
    """The page as text."""
    tales = figures.tales
    faults = Counter(fault for tale in tales for fault in tale.faults)
    shapes = Counter(tampering.split(" ")[0] for tale in tales for tampering in tale.tamperings)
    lines = [
        "# Campaign",
        "",
        "`make campaign` plays random, seeded rounds on a real control plane: three administrators tamper with the",
        "governed objects of three tenants while the daemon is killed, stopped or frozen, its connections are cut,",
        "frozen, slowed or answered 429, its database is locked, its lease deleted, and the API server and etcd are",
        "killed and compacted. Before that it kills the daemon before and after every single write of one long plan.",
        "",
        "After each round must hold: the cluster is as the model has it; no write of driftd opened a flow that was",
        "closed before and ought to be closed (replayed from the API server's audit log, judged by the naive",
        "evaluator); the audit chain verifies; every intent has an outcome; every tampering has a finding and every",
        "finding of a difference is closed; nothing was unhandled; driftd then writes nothing more.",
        "",
        f"Last run: {figures.at:%Y-%m-%d %H:%M} UTC, seed `{figures.seed}`. **{figures.verdict}.**",
        "",
        "| figure | value |",
        "|---|---|",
        f"| rounds | {len(tales)} |",
        f"| rounds that failed | {sum(1 for tale in tales if tale.failure)} |",
        f"| tamperings | {sum(len(tale.tamperings) for tale in tales)} |",
        f"| findings told | {sum(tale.findings for tale in tales)} |",
        f"| writes by driftd | {sum(tale.writes for tale in tales)} |",
        f"| faults | {sum(faults.values())} |",
        f"| kill points | {len(figures.deaths)} |",
        f"| kill points that failed | {sum(1 for death in figures.deaths if death.failure)} |",
        "",
        "| fault | times |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {count} |" for name, count in sorted(faults.items())),
        "",
        "| tampering | times |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in sorted(shapes.items())),
    ]
    failed = [tale for tale in tales if tale.failure]
    if failed:
        lines += ["", "## Failures", ""]
        for tale in failed:
            seed, _, number = tale.seed.rpartition("/")
            reason = tale.failure.splitlines()[0][:120]
            lines += [f"* `python -m tests.campaign --seed {seed} --round {number}`: {reason}"]
    return "\n".join(lines) + "\n"
