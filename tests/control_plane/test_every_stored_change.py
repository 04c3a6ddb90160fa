"""Every field of every governed kind, changed on a real API server: the digest tells, or leaves it out by name."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from driftd.lab import Lab
from driftd.policy.kinds import KINDS
from driftd.policy.kinds.calico_tier import TierKind
from driftd.values import Body
from tests.oracle.sameness import TIER, KindId
from tests.support.control_plane import run_apart
from tests.support.digest_law import clear, hold, prepare
from tests.support.kube import Kube
from tests.support.subjects import SUBJECTS

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]

CHAINS = 30


@pytest.fixture(scope="module")
def kinds(lab: Lab) -> Iterator[Lab]:
    """A server that has Calico's kinds as well, and the namespaces that objects are put into."""
    run_apart(_apart(lab, prepare))
    yield lab
    run_apart(_apart(lab, clear))


async def _apart(lab: Lab, deed: Callable[[Kube], Awaitable[None]]) -> None:
    async with Kube.connect(Path(lab.kubeconfig)) as kube:
        await deed(kube)


def test_each_governed_kind_is_looked_at() -> None:
    assert SUBJECTS.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", SUBJECTS, ids=lambda kind: ".".join(filter(None, reversed(kind))))
async def test_a_stored_change_has_another_digest_unless_it_means_the_same_or_is_left_to_others(
    kinds: Lab, kind: KindId
) -> None:
    async with Kube.connect(Path(kinds.kubeconfig)) as kube:
        tally = await hold(kube, SUBJECTS[kind], Random(f"{kind}"), chains=CHAINS)
    print(tally)
    assert not tally.faults, "\n".join(tally.faults[:5])
    assert not tally.lacking, "\n".join(tally.lacking)
    assert tally.respelled > 0


class Forgetful(TierKind):
    """A kind that does not look at a field."""

    def canonical_spec(self, spec: Body) -> Body:
        return {**super().canonical_spec(spec), "defaultAction": "Deny"}


async def test_a_kind_that_forgets_a_field_is_found_out(kinds: Lab) -> None:
    async with Kube.connect(Path(kinds.kubeconfig)) as kube:
        tally = await hold(kube, SUBJECTS[TIER], Random(1), chains=0, kind=Forgetful())
    assert any("two states, one digest" in fault for fault in tally.faults)
    assert [one.partition(":")[0] for one in tally.lacking] == ["spec.defaultAction"]
