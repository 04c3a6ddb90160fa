"""Nothing acknowledged is lost and nothing is recorded twice, whatever dies when."""

import asyncio
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.store import Store
from tests.support.frail_store import QUICK, STEPS, FrailDatabase, crash, open_frail, until_back
from tests.support.records import START, SteppingClock, finding, intent, outcome

ROOT = Path(__file__).parents[2]
EVIDENCE = {
    "begin": ["finding.opened", "write.intended"],
    "finish": ["write.settled"],
    "close": ["finding.closed"],
}


async def evidence(store: Store) -> list[tuple[str, str]]:
    """What the chain holds of the repairs, without what the store says about itself."""
    rows = await store.audit(limit=10_000)
    return [(row.kind, row.subject) for row in rows if row.kind.startswith(("finding.", "write.", "note."))]


@pytest.mark.parametrize(
    ("step", "nth"),
    [
        ("commit", 2),  # the note of the start
        ("commit", 3),  # the first begin
        ("commit", 7),  # the replay
        ("committed", 3),
        ("committed", 7),
        ("committed", 8),  # the note that tells of the outage
        ("journal", 2),
        ("journalled", 3),
        ("clear", 1),
        ("cleared", 1),
    ],
)
async def test_a_process_killed_at_any_step_loses_nothing_and_doubles_nothing(
    tmp_path: Path, step: str, nth: int
) -> None:
    assert step in STEPS
    await (await Store.open(tmp_path / "s.db", SteppingClock(), tmp_path, QUICK)).close()
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.support.frail_store", str(tmp_path), step, str(nth)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == -9, ran.stderr
    acknowledged = [line.split() for line in ran.stdout.splitlines() if line.startswith(("begin", "finish", "close"))]
    store = await Store.open(tmp_path / "s.db", SteppingClock(), tmp_path, QUICK)
    found = await evidence(store)
    expected = [(kind, f"NetworkPolicy acme-prod/p{n}") for act, n in acknowledged for kind in EVIDENCE[act]]
    assert found[: len(expected)] == expected
    assert len(found) - len(expected) <= 2  # the one record under way, whole or not at all
    assert max(Counter(found).values(), default=1) == 1
    assert (await store.verify()).ok
    begun = {left.id for left in await store.unsettled()}
    assert begun <= {"i1", "i2", "i3"}
    assert len(begun) <= 1
    await store.close()


Step = tuple[
    Literal["repair", "begin", "note", "remember", "refuse", "lie", "restart", "crash", "crash in flight", "rest"], int
]
STEP_KINDS = st.sampled_from(
    ["repair", "begin", "note", "remember", "refuse", "lie", "restart", "crash", "crash in flight", "rest"]
)


class Story:
    """Runs steps against a frail store, and knows what must be there in the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SteppingClock()
        self.expected: list[tuple[str, str]] = []
        self.uncertain: set[tuple[str, str]] = set()
        self.memory: dict[str, str] = {}
        self.unsettled: list[str] = []
        self.count = 0

    async def run(self, steps: list[Step]) -> None:
        self.store, self.database = await open_frail(self.folder, self.clock, FrailDatabase)
        for kind, amount in steps:
            await self.step(kind, amount)
        self.database.refusals = self.database.lies = 0
        await until_back(self.store)
        found = await evidence(self.store)
        assert [row for row in found if row not in self.uncertain] == self.expected
        assert max(Counter(found).values(), default=1) == 1
        assert await self.store.recall_all("key/") == self.memory
        assert [left.id for left in await self.store.unsettled()] == self.unsettled
        assert (await self.store.verify(self.store.known_head)).ok
        await self.store.close()

    async def step(self, kind: str, amount: int) -> None:
        self.count += 1
        n = self.count
        about = finding(f"f{n}", name=f"p{n}")
        subject = str(about.ref)
        match kind:
            case "begin" | "repair":
                await self.store.begin([about], [intent(f"i{n:04}", about)])
                self.expected += [("finding.opened", subject), ("write.intended", subject)]
                if kind == "begin":
                    self.unsettled.append(f"i{n:04}")
                    return
                await self.store.finish([outcome(f"i{n:04}")], [])
                await self.store.close_findings([f"f{n}"], "driftd", START)
                self.expected += [("write.settled", subject), ("finding.closed", subject)]
            case "note":
                await asyncio.gather(*(self.store.note("note.x", f"{n}.{m}", {}) for m in range(amount)))
                self.expected += [("note.x", f"{n}.{m}") for m in range(amount)]
            case "remember":
                await self.store.remember(f"key/{amount}", f'"{n}"')
                self.memory[f"key/{amount}"] = f'"{n}"'
                assert await self.store.recall(f"key/{amount}") == f'"{n}"'
            case "refuse":
                self.database.refusals = amount
            case "lie":
                self.database.lies = amount
            case "restart":
                await self.store.close()
                self.store, self.database = await open_frail(self.folder, self.clock, FrailDatabase)
            case "crash":
                await crash(self.store)
                self.store, self.database = await open_frail(self.folder, self.clock, FrailDatabase)
            case "crash in flight":
                self.uncertain.add(("note.x", f"late {n}"))
                late = asyncio.ensure_future(self.store.note("note.x", f"late {n}", {}))
                await asyncio.sleep(amount / 4000)
                await crash(self.store)
                late.cancel()
                await asyncio.gather(late, return_exceptions=True)
                self.store, self.database = await open_frail(self.folder, self.clock, FrailDatabase)
            case _:
                await asyncio.sleep(0.01)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(STEP_KINDS, st.integers(1, 4)), max_size=14))
def test_any_sequence_of_records_faults_and_crashes_leaves_each_record_once_and_in_order(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(Story(Path(folder)).run(steps))
