"""`python -m tests.campaign.slow`: every answer of the API server, events of watches too, takes five seconds.

First with the shipped lease, which such answers cost; then with one that outlasts them, and a daemon that even starts
among them. Writes its part of docs/campaign.md; exits 1 if something did not hold. The test command plays the same with
shorter answers and leases.
"""

import argparse
import asyncio
import secrets
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from driftd.cluster import LeaseSettings
from driftd.lab import Lab
from tests.campaign.pages import PAGE, put
from tests.support.daemon import shipped
from tests.support.faulty import OPEN, PATIENCE, Scene, allow_all, scene

ANSWERS = 5.0
PATIENT = LeaseSettings(duration=30.0, renew_deadline=20.0, retry=2.0)
"""Six times as long as an answer takes: the shortest that the documentation promises to last."""
_ON_ITS_WAY = timedelta(seconds=1)
"""So late a write that left in time may arrive where the machine has much else to do."""
_NOBODY = "no, nobody does"


@dataclass(frozen=True)
class Slowed:
    """What slow answers came to. `lost` are the seconds until leadership ended, None where it never did."""

    answers: float
    lease: LeaseSettings
    lost: float | None
    late: int
    unready: bool
    healed: Sequence[float]
    again: float
    terms: int

    @property
    def faults(self) -> list[str]:
        """What went wrong, whatever the lease."""
        found = []
        if self.late:
            found.append(f"{self.late} writes after the lease's deadline")
        if self.lost is not None and not self.unready:
            found.append("/readyz said ready while nobody led")
        return found


def environment(lease: LeaseSettings) -> dict[str, str]:
    """These times of a lease, for a daemon."""
    return {
        "DRIFTD_LEASE__DURATION_SECONDS": str(lease.duration),
        "DRIFTD_LEASE__RENEW_DEADLINE_SECONDS": str(lease.renew_deadline),
        "DRIFTD_LEASE__RETRY_SECONDS": str(lease.retry),
    }


async def lost(one: Scene, answers: float, lease: LeaseSettings) -> Slowed:
    """Answers too slow for the lease: leadership ends with it, nothing is written, and everything is healed after."""
    await one.begin()
    epoch, began = await one.epoch(), datetime.now(UTC)
    one.proxy.slow(answers)
    await _harm(one, "hole")  # some of it may still be repaired: the lease has not run out

    async def nobody() -> bool:
        return (await one.readiness())["leading"] == _NOBODY

    await one.until("the leadership is over", nobody, lease.duration + PATIENCE)
    ended = datetime.now(UTC)
    await one.kube.create(allow_all("acme-prod", "second"))
    await asyncio.sleep(lease.renew_deadline)
    unready = await one.ready() != 200 and await nobody()
    deadline = began + timedelta(seconds=lease.renew_deadline) + _ON_ITS_WAY
    late = [record for record in one.attempts() if record.received > deadline]
    one.proxy.slow(0)
    quick = datetime.now(UTC)
    await one.leads(above=epoch, seconds=PATIENCE)
    found = await one.sound(seconds=PATIENCE)
    assert {past.seen.finding.type.value for past in found.about("second")} == {"unexpected"}
    return Slowed(
        answers=answers,
        lease=lease,
        lost=(ended - began).total_seconds(),
        late=len(late),
        unready=unready,
        healed=_healed(one),
        again=(datetime.now(UTC) - quick).total_seconds(),
        terms=await one.epoch() - epoch,
    )


async def kept(one: Scene, answers: float, lease: LeaseSettings, *, times: int, restart: bool) -> Slowed:
    """Answers that the lease outlasts: what is tampered with, so many times, is healed among them, in one term."""
    await one.begin()
    epoch = await one.epoch()
    one.proxy.slow(answers)
    if restart:
        await one.daemon.stop(PATIENCE)
        await one.daemon.start(ready=False)
        await one.daemon.wait_ready(PATIENCE)
    terms = await one.epoch() - epoch
    for number in range(times):
        await _harm(one, f"hole-{number}")
        await one.canonical(PATIENCE)
        parts = await one.readiness()
        assert parts["leading"] == "yes", parts
        assert "blind" not in parts.values(), parts
    kept_it = await one.epoch() == epoch + terms
    one.proxy.slow(0)
    quick = datetime.now(UTC)
    await one.sound(seconds=PATIENCE)
    return Slowed(
        answers=answers,
        lease=lease,
        lost=None if kept_it else 0.0,
        late=0,
        unready=False,
        healed=_healed(one),
        again=(datetime.now(UTC) - quick).total_seconds(),
        terms=await one.epoch() - epoch,
    )


async def _harm(one: Scene, name: str) -> None:
    await one.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    await one.kube.create(allow_all("globex-prod", name))
    await one.kube.delete("LimitRange", "acme-prod", "limits")


def _healed(one: Scene) -> list[float]:
    """Seconds from each tampering to the end of its repair, by the audit log."""
    heals = one.heals()
    assert all(heal.healed_after is not None for heal in heals), heals
    return sorted(heal.healed_after.total_seconds() for heal in heals if heal.healed_after is not None)


# -- the long run -----------------------------------------------------------------------------------------------------


async def campaign(times: int) -> int:
    usual = LeaseSettings()
    with tempfile.TemporaryDirectory(prefix="driftd-slow-") as folder:
        async with Lab.start(f"slow-{secrets.token_hex(2)}") as lab:
            async with scene(lab, Path(folder) / "shipped", env=shipped()) as one:
                short = await lost(one, ANSWERS, usual)
                print(short, flush=True)
            async with scene(lab, Path(folder) / "patient", env=shipped() | environment(PATIENT)) as one:
                patient = await kept(one, ANSWERS, PATIENT, times=times, restart=True)
                print(patient, flush=True)
    faults = [*short.faults, *patient.faults]
    if patient.lost is not None:
        faults.append("the lease that outlasts such answers was lost")
    put(PAGE, "slow", render(short, patient, faults))
    print("\n".join(faults) or "everything held")
    return 1 if faults else 0


def render(short: Slowed, patient: Slowed, faults: Sequence[str]) -> str:
    """This part of the page."""

    def row(what: str, *cells: object) -> str:
        return f"| {what} | {' | '.join(str(cell) for cell in cells)} |"

    def lease(one: Slowed) -> str:
        return f"{one.lease.duration:g} s, deadline {one.lease.renew_deadline:g} s"

    lines = [
        "## An API server that is slow",
        "",
        f"`make campaign` also lets every answer of the API server take {short.answers:g} s, events of watches too,",
        "while an administrator opens a policy, adds another and deletes a LimitRange: with the shipped lease, which",
        "such answers cost, and with one six times as long as they take, under which the daemon is restarted as well.",
        "",
        f"Last run: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. **{'; '.join(faults) or 'Everything held'}.**",
        "",
        row("lease", lease(short), lease(patient)),
        "|---|---|---|",
        row("leadership", f"ended after {short.lost or 0.0:.1f} s", "kept" if patient.lost is None else "lost"),
        row("writes after the lease's deadline", short.late, "-"),
        row("`/readyz` while nobody led", "not ready" if short.unready else "ready", "-"),
        row("tamperings healed", len(short.healed), len(patient.healed)),
        row("the slowest healed after", f"{max(short.healed):.1f} s", f"{max(patient.healed):.1f} s"),
        row("quick answers again, all healed and on record after", f"{short.again:.1f} s", f"{patient.again:.1f} s"),
        row("moments looser than before and than the model", 0, 0),
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.slow", description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="rounds of tampering under the lease that outlasts them")
    return asyncio.run(campaign(parser.parse_args().times))


if __name__ == "__main__":
    sys.exit(main())
