"""Every kill point of a plan with many writes: before and after each, one restart, the right end."""

import itertools
import time
from dataclasses import dataclass
from pathlib import Path

from driftd.lab import Lab
from tests.support.crash import ONLY_THE_WATCH, Point, as_if_nothing_had_happened, die_at
from tests.support.faulty import scene


@dataclass(frozen=True)
class Death:
    """One kill point tried; `failure` is empty if the restart made everything right."""

    point: Point
    seconds: float
    failure: str = ""


async def every_point(lab: Lab, folder: Path, *, limit: int, deadline: float) -> list[Death]:
    """Try points until the plan has no more writes, `limit` are done, or the monotonic `deadline` has passed."""
    deaths: list[Death] = []
    points = (Point(nth, after) for nth in itertools.count(1) for after in (False, True))
    exhausted = False
    while not exhausted and len(deaths) < limit and time.monotonic() < deadline:
        async with scene(lab, folder / f"from-{len(deaths)}", env=ONLY_THE_WATCH) as one:
            while len(deaths) < limit and time.monotonic() < deadline:
                point, began = next(points), time.monotonic()
                try:
                    if not await die_at(one, point):
                        exhausted = True
                        break
                    await as_if_nothing_had_happened(one)
                except AssertionError as error:
                    deaths.append(Death(point, time.monotonic() - began, str(error)[:4000]))
                    print(f"kill {point}: FAILED\n  {error}", flush=True)
                    break
                deaths.append(Death(point, time.monotonic() - began))
                print(f"kill {point}: ok, {deaths[-1].seconds:.1f} s", flush=True)
    return deaths
