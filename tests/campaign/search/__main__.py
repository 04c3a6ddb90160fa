"""`python -m tests.campaign.search`: does the engine say the same as the naive evaluator, a hundred thousand times?

Prints progress, writes its part of docs/campaign.md, exits 1 at the first disagreement, which it shows made small.
`--seed S --case N` plays one case again.
"""

import argparse
import json
import secrets
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from pprint import pformat
from textwrap import wrap

from tests.campaign.pages import PAGE, put
from tests.campaign.search.agreement import CELLS, EXPLAINED, DisagreementError, check
from tests.campaign.search.cases import SHAPES, Case, case, features
from tests.campaign.search.shrink import shrunk
from tests.oracle.bodies import Cluster

_EVERY = 2_000
ABOUT = """\
## The search: who can reach whom

`make campaign` also makes small random clusters, edits each one to three times, and asks the engine and the naive
evaluator (`tests/oracle`, written from the documentation, sharing nothing with the engine) the same questions. Both
must say the same of every cell that is asked; where a dialect leaves the answer open, the engine's interval must hold
the evaluator's answers. Not every cell is: of each state, before the edit and after it, {cells} are drawn from all
pairs of ends over all traffic, at each edge of ports and addresses that a policy knows, and {explained} of them is
explained as well, which must end where the answer does. The state after the edit must answer as one built from
nothing, and the delta must hold whatever the edit changed, between all pods and a few addresses; each of its
rectangles must hold a cell that did change, its mirror be the delta backwards, and its direction that of the changes. A
failure is shown made small, with the numbers that play it again. `python -m tests.campaign.search.mutants` plants
mistakes in the engine and shows that the search finds each, or a test where only a large cluster shows it.
"""


@dataclass
class Tally:
    """What a search has gone through."""

    seed: str
    cases: int = 0
    seconds: float = 0.0
    shapes: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)

    def add(self, one: Case) -> None:
        self.cases += 1
        self.shapes[str(one.shape)] += 1
        self.features += features(one)

    def keep(self, file: Path) -> None:
        """Write down how far it came."""
        kept = {**asdict(self), "shapes": dict(self.shapes), "features": dict(self.features)}
        part = file.with_suffix(".part")
        part.write_text(json.dumps(kept, indent=1))
        part.replace(file)

    @classmethod
    def kept(cls, file: Path) -> "Tally":
        """What `keep` wrote."""
        found = json.loads(file.read_text())
        return cls(**{**found, "shapes": Counter(found["shapes"]), "features": Counter(found["features"])})

    def page(self) -> str:
        """The part of docs/campaign.md."""
        counted = ", ".join(f"{name} ({count:,})" for name, count in sorted(self.features.items()))
        went = f"{self.cases:,} cases of two states each, {CELLS} cells a state, in {self.seconds / 60:.0f} minutes"
        lines = [
            ABOUT.format(cells=CELLS, explained=EXPLAINED),
            f"Last run: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, seed `{self.seed}`.",
            f"**{went}: no disagreement.**",
            "",
            "| what was searched | cases |",
            "|---|---|",
            *(f"| {name} | {count:,} |" for name, count in sorted(self.shapes.items())),
            "",
            *wrap(f"In how many cases each of {len(self.features)} features occurred: {counted}.", 116),
        ]
        return "\n".join(lines)


def failure(one: Case) -> str:
    """What is wrong with a case, "" if nothing."""
    try:
        check(one)
    except DisagreementError as problem:
        return str(problem)
    return ""


def search(tally: Tally, numbers: range, minutes: float, kept: Path | None = None) -> Case | None:
    """Go through cases of a seed until one fails, which is returned, or time is over; `kept` is written on the way."""
    began = time.monotonic() - tally.seconds
    for number in numbers:
        one = case(tally.seed, number)
        if failure(one):
            return one
        tally.add(one)
        tally.seconds = time.monotonic() - began
        if tally.cases % _EVERY == 0:
            print(f"{tally.cases:,} cases, {tally.seconds:.0f} s", flush=True)
            if kept is not None:
                tally.keep(kept)
        if tally.seconds > minutes * 60:
            break
    return None


def tell(one: Case) -> None:
    """Print a failing case, made small."""
    print(f"case {one.number}, {one.shape}: {failure(one)}")
    small = shrunk(one, lambda smaller: bool(_failing(smaller)))
    print(f"made small: {failure(small)}\nbefore: {_text(small.before)}\nafter: {_text(small.after)}")
    print(f"again: python -m tests.campaign.search --seed {one.seed} --case {one.number}", flush=True)


def _failing(one: Case) -> str:
    """As `failure`, but a case that shrinking has made senseless does not count."""
    try:
        return failure(one)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return ""


def _text(cluster: Cluster) -> str:
    return pformat(cluster, width=160, compact=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.search", description=__doc__)
    parser.add_argument("--seed", help="a word; a random one unless said")
    parser.add_argument("--cases", type=int, default=100_000, help="how many to go through")
    parser.add_argument("--case", type=int, help="play this one case again")
    parser.add_argument("--minutes", type=float, default=120.0, help="begin no case after so many minutes")
    parser.add_argument("--plain", action="store_true", help="write no page and leave a failure as large as it is")
    parser.add_argument("--quick", action="store_true", help="write no page")
    parser.add_argument("--kept", type=Path, help="a file to write down in how far it came, and to go on from if there")
    arguments = parser.parse_args()
    tally = Tally(arguments.seed or secrets.token_hex(4))
    if arguments.kept is not None and arguments.kept.exists():
        tally = Tally.kept(arguments.kept)
    first = tally.cases if arguments.case is None else arguments.case
    numbers = range(first, arguments.cases if arguments.case is None else first + 1)
    print(f"seed {tally.seed}: {len(numbers):,} cases of {len(SHAPES)} shapes", flush=True)
    failed = search(tally, numbers, arguments.minutes, arguments.kept)
    if failed is not None:
        if not arguments.plain:
            tell(failed)
        return 1
    if not (arguments.quick or arguments.plain) and arguments.case is None:
        put(PAGE, "search", tally.page())
    print(f"{tally.cases:,} cases in {tally.seconds / 60:.1f} minutes: no disagreement")
    return 0


if __name__ == "__main__":
    sys.exit(main())
