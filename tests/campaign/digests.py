"""`python -m tests.campaign.digests`: every change that a kind's schema allows, and long chains of them, in each kind.

Stores them in a real API server and holds the law of digests: two stored objects have one digest exactly if they are
one state. Writes its part of docs/campaign.md; exits 1 if the law broke. The test command does the same with fewer.
"""

import argparse
import asyncio
import secrets
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from driftd.lab import Lab
from tests.campaign.pages import PAGE, put
from tests.support.digest_law import Tally, clear, hold, prepare
from tests.support.kube import Kube
from tests.support.subjects import SUBJECTS


async def every_kind(seed: str, chains: int) -> list[Tally]:
    tallies = []
    async with Lab.start(f"digests-{secrets.token_hex(2)}") as lab, Kube.connect(Path(lab.kubeconfig)) as kube:
        await prepare(kube)
        for kind, subject in SUBJECTS.items():
            tally = await hold(kube, subject, Random(f"{seed}/{kind}"), chains=chains, few=3, wide=True)
            tallies.append(tally)
            print(tally, flush=True)
            for one in (*tally.faults, *tally.lacking):
                print(f"  {one}", flush=True)
        await clear(kube)
    return tallies


def text(seed: str, chains: int, seconds: float, tallies: Sequence[Tally]) -> str:
    """The part of the page."""
    broken = sum(len(tally.faults) + len(tally.lacking) for tally in tallies)
    verdict = f"{broken} violations" if broken else "the law held"
    rows = "\n".join(
        f"| {tally.name} | {tally.fields} | {tally.states:,} | {tally.refused:,} | {tally.meanings:,} "
        f"| {tally.respelled:,} |"
        for tally in tallies
    )
    return f"""\
## Digests: what is stored and what is seen

`make campaign` also reads every governed kind's schema from the API server and makes each change that it allows (every
field set, removed and nulled, every list and map edited), then {chains} chains of two to six such changes in each kind.
What the server takes is read back. Any two stored objects must have one digest exactly if they are in one state, as a
naive reading of the API documents has it (`tests/oracle/sameness.py`); each field of the schema must have changed the
digest when it alone was changed, or stand there in the list of what is left to others, with its reason, and then must
have left the digest alone; and what is read back has the digest of what was sent.

Last run: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, seed `{seed}`.
**{sum(tally.states for tally in tallies):,} objects stored in {seconds / 60:.0f} minutes: {verdict}.**

| kind | fields | objects stored | refused by the server | states | same state spelled otherwise |
|---|---|---|---|---|---|
{rows}
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.digests", description=__doc__)
    parser.add_argument("--seed", default="driftd", help="a word")
    parser.add_argument("--chains", type=int, default=300, help="chains of changes in each kind")
    arguments = parser.parse_args()
    began = time.monotonic()
    tallies = asyncio.run(every_kind(arguments.seed, arguments.chains))
    put(PAGE, "digests", text(arguments.seed, arguments.chains, time.monotonic() - began, tallies))
    return 1 if any(tally.faults or tally.lacking for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
