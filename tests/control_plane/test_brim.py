"""Objects that somebody has filled to the last byte that etcd takes are repaired, or it is told that they cannot be."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from driftd.lab import Lab
from tests.support.faulty import Scene, allow_all, scene
from tests.support.kube import KubeError
from tests.support.stage import Body

pytestmark = [
    pytest.mark.control_plane,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
]

NAMESPACE = "acme-prod"
Filling = Callable[[int, int], Body]
"""A merge patch with so many large and so many small things in it."""


@pytest.fixture
async def calm(lab: Lab, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(lab, tmp_path / "data", proxied=False) as one:
        yield one


def labels(large: int, small: int) -> Body:
    found = {f"{'p' * 50}.example/{number:063d}": "v" * 63 for number in range(large)}
    return {"metadata": {"labels": found | {f"a{number:02d}": "" for number in range(small)}}}


def selector(large: int, small: int) -> Body:
    values = [f"{number:063d}" for number in range(large)] + [f"{number:02d}" for number in range(small)]
    return {"spec": {"podSelector": {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": values}]}}}


def finalizers(large: int, small: int) -> Body:
    names = [f"x.example/{number:063d}" for number in range(large)] + [f"y/{number:02d}" for number in range(small)]
    return {"metadata": {"finalizers": names}}


LIMIT = 1536 * 1024
SIZES: dict[Filling, int] = {labels: 192, selector: 65, finalizers: 75}
"""Bytes that a large thing takes in etcd."""


async def fill(calm: Scene, name: str, filling: Filling) -> None:
    """Fill a policy until not one small thing more fits in."""

    async def taken(large: int, small: int) -> bool:
        try:
            await calm.kube.merge("NetworkPolicy", NAMESPACE, name, filling(large, small))
        except KubeError as error:
            if "too large" not in str(error):
                raise
            return False
        return True

    most = LIMIT // SIZES[filling]
    large = await last(most - 200, most + 200, lambda count: taken(count, 0))
    await last(0, 99, lambda count: taken(large, count))


async def last(low: int, beyond: int, holds: Callable[[int], Awaitable[bool]]) -> int:
    """The last number from `low` up to `beyond` of which it holds."""
    while beyond - low > 1:
        middle = (low + beyond) // 2
        low, beyond = (middle, beyond) if await holds(middle) else (low, middle)
    return low


async def test_a_hole_filled_to_the_brim_is_closed(calm: Scene) -> None:
    """Seen: etcd answered 500, request is too large, to each write of driftd, and the hole stood for ever."""
    calm.daemon.send(signal.SIGSTOP)
    for name, filling in (("labelled", labels), ("selecting", selector)):
        await calm.kube.create(allow_all(NAMESPACE, name))
        await fill(calm, name, filling)
    await calm.kube.merge("NetworkPolicy", NAMESPACE, "web-ingress", {"spec": {"ingress": [{}]}})
    await fill(calm, "web-ingress", labels)
    calm.daemon.send(signal.SIGCONT)
    await calm.sound(seconds=120.0)
    slimmed = [event["name"] for event in calm.daemon.events() if event.get("event") == "cluster.write.slimmed"]
    assert {"labelled", "selecting", "web-ingress"} == {*slimmed}
    policy = await calm.kube.get("NetworkPolicy", NAMESPACE, "web-ingress")
    assert not [key for key in policy["metadata"].get("labels", {}) if not key.startswith("driftd.dev/")]


async def test_a_hole_full_of_finalizers_is_told_as_one_that_cannot_be_closed(calm: Scene) -> None:
    calm.daemon.send(signal.SIGSTOP)
    await calm.kube.create(allow_all(NAMESPACE, "held"))
    await fill(calm, "held", finalizers)
    calm.daemon.send(signal.SIGCONT)

    async def told() -> bool:
        found = (await calm.evidence()).about("held", NAMESPACE)
        said = [past.seen.finding.summary for past in found if past.seen.finding.type.value == "blocked"]
        return any("request is too large" in one and "take finalizers" in one for one in said)

    try:
        await calm.until("a finding says that there is no room", told, 60.0)
    finally:
        await calm.kube.merge("NetworkPolicy", NAMESPACE, "held", {"metadata": {"finalizers": None}})
    await calm.sound()
