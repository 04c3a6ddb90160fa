"""`python -m tests.campaign.replicas`: two replicas on a real PostgreSQL while somebody tampers twenty times a second.

First with one object, then with a hundred during rolling updates. Writes its part of docs/campaign.md; exits 1 if
something did not hold. The test command plays the same for seconds, and does not judge each state between replicas.
"""

import argparse
import asyncio
import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from driftd.lab import Lab
from driftd.paging import Page
from tests.campaign.pages import PAGE, put
from tests.support.postgres import postgres
from tests.support.replicas import (
    NAMESPACES,
    TAMPERINGS_PER_SECOND,
    Chain,
    Replicas,
    busiest_second,
    replicas,
    share_open,
    tampering,
)
from tests.support.stage import DRIFTD

HEALED_SECONDS = 2.0
WRITES_PER_SECOND = 2
FOUGHT_OVER = ("t00000-e0", "default-deny")
_FIGHT_RATIO = "driftd_fight_open_ratio"


@dataclass(frozen=True)
class Fought:
    """What a fight over one object came to. Shares are of its time that the object stood open."""

    tamperings: int
    seconds: float
    writes: int
    busiest: int
    incidents: int
    share_told: float
    share_seen: float
    summary: str

    @property
    def faults(self) -> list[str]:
        found = []
        if self.writes > WRITES_PER_SECOND * (self.seconds + 1):
            found.append(f"{self.writes} writes in {self.seconds:.0f} s")
        if self.busiest > WRITES_PER_SECOND + 1:  # two, and one whose second began late
            found.append(f"{self.busiest} writes within one second")
        if self.incidents != 1:
            found.append(f"{self.incidents} incidents")
        if not 0.5 <= self.share_told <= 1.0 or abs(self.share_told - self.share_seen) > 0.3:
            found.append(f"open for {self.share_told:.2f} of the time as told, {self.share_seen:.2f} by the audit log")
        if "open about " not in self.summary:
            found.append(f"the page tells no share: {self.summary}")
        return found


@dataclass(frozen=True)
class Rolled:
    """What came of tamperings while replicas were replaced. Times are those of the API server's audit log."""

    updates: int
    tamperings: int
    healed: Sequence[timedelta]
    never: int
    loosened: Sequence[str]
    judged_seconds: float
    chain: Chain
    pages: Sequence[Page]

    @property
    def slowest(self) -> float:
        return max(self.healed, default=timedelta()).total_seconds()

    def faults(self, within: float = HEALED_SECONDS) -> list[str]:
        found = [f"{self.never} never healed"] if self.never else []
        late = sorted((one.total_seconds() for one in self.healed if one.total_seconds() > within), reverse=True)
        if late:
            found.append(f"{len(late)} of {len(self.healed)} later than {within:g} s, the slowest {late[:5]}")
        found += [f"looser: {one}" for one in self.loosened]
        if not self.chain.whole:
            found.append("the evidence chain does not verify")
        epochs = self.chain.epochs
        if epochs != sorted(set(epochs)) or len(epochs) <= self.updates:
            found.append(f"terms in the chain: {epochs}")
        return found


async def fight(one: Replicas, seconds: float) -> Fought:
    """Twenty tamperings a second with one object; the others stay as they are."""
    await one.stage.mark()
    began, known = datetime.now(UTC), len(one.stand_in.incidents.opened)
    async with tampering(one, [FOUGHT_OVER]) as count:
        await asyncio.sleep(seconds)
        told = await _fight_ratio(one)
    await one.stage.canonical(60.0)
    records = one.stage.records()
    about = [one for one in records if (one.key.namespace, one.key.name) == FOUGHT_OVER]
    mine = [record for record in about if record.user == DRIFTD and record.is_write and record.succeeded]
    await one.stage.until("the fight is told", lambda: _is_told(one, known), 60.0)
    return Fought(
        tamperings=count(),
        seconds=seconds,
        writes=len(mine),
        busiest=busiest_second(mine),
        incidents=len(one.stand_in.incidents.opened) - known,
        share_told=told,
        share_seen=share_open(about, FOUGHT_OVER, began),
        summary=await _told_of_the_fight(one),
    )


async def rolling_updates(one: Replicas, times: int, *, calm_seconds: float, judged: bool = True) -> Rolled:
    """So many of them, one after the other, under twenty tamperings a second with every policy in turn.

    That each state is `judged`, whether it was looser than before and than the model, takes longer than all the rest.
    """
    await one.stage.mark()
    async with tampering(one, one.policies) as count:
        for _ in range(times):
            await asyncio.sleep(calm_seconds)
            await one.roll()
        await asyncio.sleep(calm_seconds)
    await one.stage.canonical(60.0)
    await one.stage.until("every intent is settled and every finding closed", one.at_rest, 60.0)
    heals, began = one.stage.heals(), time.monotonic()
    loosened = await asyncio.to_thread(one.stage.loosened) if judged else ()
    return Rolled(
        updates=times,
        tamperings=count(),
        healed=[heal.healed_after for heal in heals if heal.healed_after is not None],
        never=sum(heal.last is None for heal in heals),
        loosened=[str(found) for found in loosened],
        judged_seconds=time.monotonic() - began,
        chain=await one.chain(),
        pages=await one.pages(),
    )


async def _fight_ratio(one: Replicas) -> float:
    """What the leader's metrics say."""
    leader = one.running[await one.leader()]
    lines = (await leader.metrics()).splitlines()
    return next(float(line.split(" ")[1]) for line in lines if line.startswith(f"{_FIGHT_RATIO} "))


async def _told_of_the_fight(one: Replicas) -> str:
    reasons = [reason for page in await one.pages() for reason in page.reasons]
    return next((reason.summary for reason in reasons if reason.what == "fight"), "")


async def _is_told(one: Replicas, known: int) -> bool:
    return len(one.stand_in.incidents.opened) > known and "open about " in await _told_of_the_fight(one)


# -- the long run -----------------------------------------------------------------------------------------------------


async def campaign(updates: int, seconds: float) -> int:
    began, load = time.monotonic(), os.getloadavg()[1]
    with postgres() as server, tempfile.TemporaryDirectory(prefix="driftd-replicas-") as folder:
        async with Lab.start(f"replicas-{secrets.token_hex(2)}") as lab, replicas(lab, server, Path(folder)) as one:
            fought = None
            if seconds:
                print(f"one object, {seconds:g} s", flush=True)
                fought = await fight(one, seconds)
                print(fought, flush=True)
            print(f"{updates} rolling updates, a hundred objects", flush=True)
            rolled = await rolling_updates(one, updates, calm_seconds=10.0)
    faults = [*(fought.faults if fought else ()), *rolled.faults()]
    took = (
        f"{(time.monotonic() - began) / 60:.1f} minutes on {os.cpu_count()} cores with a load of {load:.1f} before it"
    )
    put(PAGE, "replicas", render(fought, rolled, faults, took))
    print(f"wrote its part of {PAGE}")
    print("\n".join(faults) or "everything held")
    return 1 if faults else 0


def render(fought: Fought | None, rolled: Rolled, faults: Sequence[str], took: str) -> str:
    """This part of the page. `took`: how long the run was, and where."""
    lines = [
        "## Two replicas under fire",
        "",
        "`make campaign` also runs two replicas on a real PostgreSQL, with the shipped rights and lease, over",
        f"{NAMESPACES * 10} NetworkPolicies, while an administrator opens them {TAMPERINGS_PER_SECOND} times a second:",
        "one of them alone, then all in turn while both replicas are replaced (a new one is ready, then an old one",
        "gets SIGTERM, the leader first). What counts is the API server's audit log. Of each state that its own writes",
        "led to, the naive evaluator says whether it let anything through that was closed before and in the model.",
        "",
        f"Last run: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {took}. **{'; '.join(faults) or 'Everything held'}.**",
        *([] if fought else ["The part with one object was left out of it."]),
        "",
        "| figure | value | must be |",
        "|---|---|---|",
        *(_of_the_fight(fought) if fought else ()),
        *_of_the_updates(rolled),
    ]
    return "\n".join(lines)


def _of_the_fight(fought: Fought) -> list[str]:
    return [
        f"| one object: tamperings | {fought.tamperings} in {fought.seconds:.0f} s | |",
        f"| writes by driftd a second | {fought.writes / fought.seconds:.2f} | at most {WRITES_PER_SECOND} |",
        f"| incidents at the pager | {fought.incidents} | 1 |",
        f"| share of the time it stood open, as driftd told | {fought.share_told:.2f} | told |",
        f"| the same by the audit log | {fought.share_seen:.2f} | |",
    ]


def _of_the_updates(rolled: Rolled) -> list[str]:
    times = sorted(one.total_seconds() for one in rolled.healed)
    pages = Counter(page.cls.value for page in rolled.pages if page.cls and page.told)
    return [
        f"| rolling updates | {rolled.updates} | |",
        f"| terms of leadership | {len(rolled.chain.epochs)} | more than updates |",
        f"| tamperings of a hundred objects | {rolled.tamperings} | |",
        f"| healed, median | {_at(times, 0.5):.3f} s | |",
        f"| healed, p99 | {_at(times, 0.99):.3f} s | |",
        f"| healed, the slowest | {_at(times, 1.0):.3f} s | at most {HEALED_SECONDS:g} s |",
        f"| never healed | {rolled.never} | 0 |",
        f"| moments looser than before and than the model | {len(rolled.loosened)} | 0 |",
        f"| every state judged in | {rolled.judged_seconds:.0f} s | |",
        f"| evidence chains that verify | {int(rolled.chain.whole)} ({rolled.chain.rows:,} rows) | 1 |",
        f"| pages, by class | {', '.join(f'{name} {count}' for name, count in sorted(pages.items()))} | |",
    ]


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.replicas", description=__doc__)
    parser.add_argument("--updates", type=int, default=3, help="rolling updates, one after the other")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long the fight over one object lasts; 0: none")
    arguments = parser.parse_args()
    return asyncio.run(campaign(arguments.updates, arguments.seconds))


if __name__ == "__main__":
    sys.exit(main())
