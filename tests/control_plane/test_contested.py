"""Whoever writes an object all the time keeps driftd's versions old, and no hole open."""

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import pytest_asyncio

from driftd.lab import Lab
from tests.support.faulty import OPEN, Scene, allow_all, scene
from tests.support.kube import KubeError

pytestmark = [
    pytest.mark.control_plane,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

NAMESPACE = "acme-prod"
WRITERS = 6
SECONDS = 30.0
"""Within which what is written all the time is closed; it takes half a second, and without the uid for ever."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def direct(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(lab, tmp_path_factory.mktemp("contested") / "data", proxied=False) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def calm(direct: Scene) -> Scene:
    await direct.begin()
    return direct


@asynccontextmanager
async def noted(
    calm: Scene, name: str, kind: str = "NetworkPolicy", *, writers: int = WRITERS, pause: float = 0.0
) -> AsyncIterator[None]:
    """For the length of the block writers note something at an object, each as fast as it is answered, or slower."""
    namespace = NAMESPACE if kind == "NetworkPolicy" else ""

    begun = asyncio.Event()

    async def write(writer: int) -> None:
        for count in itertools.count():
            if count == 5:
                begun.set()
            with suppress(KubeError):
                notes = {"metadata": {"annotations": {f"writer-{writer}": str(count)}}}
                await calm.kube.merge(kind, namespace, name, notes)
            await asyncio.sleep(pause)

    hands = [asyncio.ensure_future(write(number)) for number in range(writers)]
    try:
        await asyncio.wait_for(begun.wait(), 30.0)
        yield
        assert not any(one.done() for one in hands), "they gave up: this test proves nothing"
    finally:
        for one in hands:
            one.cancel()
        await asyncio.gather(*hands, return_exceptions=True)


async def closed(calm: Scene, name: str) -> bool:
    live = await calm.kube.find("NetworkPolicy", NAMESPACE, name)
    return live is None or [{}] not in (live["spec"].get("ingress"), live["spec"].get("egress"))


async def test_a_hole_that_others_write_all_the_time_is_emptied(calm: Scene) -> None:
    """Seen: four clients kept a hole open for as long as they noted something at it."""
    calm.daemon.send(signal.SIGSTOP)
    await calm.kube.create(allow_all(NAMESPACE, "hole"))
    async with noted(calm, "hole"):
        calm.daemon.send(signal.SIGCONT)
        await calm.until("the hole is closed", lambda: closed(calm, "hole"), SECONDS)
    await calm.sound()


async def test_an_opened_policy_that_others_write_all_the_time_is_put_back_with_what_is_theirs(calm: Scene) -> None:
    calm.daemon.send(signal.SIGSTOP)
    await calm.kube.merge("NetworkPolicy", NAMESPACE, "default-deny", OPEN)
    async with noted(calm, "default-deny"):
        calm.daemon.send(signal.SIGCONT)
        await calm.until("the policy is closed", lambda: closed(calm, "default-deny"), SECONDS)
        await calm.canonical(SECONDS)
    await calm.sound()
    policy = await calm.kube.get("NetworkPolicy", NAMESPACE, "default-deny")
    assert f"writer-{WRITERS - 1}" in policy["metadata"]["annotations"]


async def test_a_namespace_that_others_write_all_the_time_is_put_back_and_keeps_their_labels(calm: Scene) -> None:
    """Its labels decide things, so each PUT is bound to the version that was read just before: two may be outrun."""
    calm.daemon.send(signal.SIGSTOP)
    changed = {"labels": {"driftd.dev/tenant": "mallory", "team": "web"}}
    await calm.kube.merge("Namespace", "", NAMESPACE, {"metadata": changed})
    async with noted(calm, NAMESPACE, "Namespace", writers=2, pause=0.05):
        calm.daemon.send(signal.SIGCONT)
        await calm.canonical(2 * SECONDS)
    await calm.sound()
    home = await calm.kube.get("Namespace", "", NAMESPACE)
    assert home["metadata"]["labels"]["team"] == "web"
    assert {"writer-0", "writer-1"} <= home["metadata"]["annotations"].keys()
    await calm.kube.merge("Namespace", "", NAMESPACE, {"metadata": {"labels": {"team": None}}})


async def test_who_makes_and_deletes_a_hole_all_the_time_is_told_of_and_tried_twice_a_second_at_most(
    calm: Scene,
) -> None:
    """Seen: 218 lost writes in fifteen seconds, each to a uid that was gone, and nobody was told who did it."""

    async def make_and_delete() -> None:
        while True:
            with suppress(KubeError):
                await calm.kube.create(allow_all("acme-stage", "hole"))
                await calm.kube.delete("NetworkPolicy", "acme-stage", "hole")

    async def told() -> bool:
        found = (await calm.evidence()).about("hole", "acme-stage")
        fights = [one for one in calm.daemon.events() if one.get("event") == "fight.known" and one["name"] == "hole"]
        return bool(fights) or any(past.seen.finding.type.value == "blocked" for past in found)

    begun = time.monotonic()
    hand = asyncio.ensure_future(make_and_delete())
    try:
        await calm.until("somebody is told of it", told, 60.0)
        await asyncio.sleep(5.0)
        assert not hand.done(), "it gave up: this test proves nothing"
        lasted = time.monotonic() - begun
    finally:
        hand.cancel()
        await asyncio.gather(hand, return_exceptions=True)
    tries = [one for one in calm.attempts() if one.key.name == "hole"]
    assert len(tries) <= 2 * lasted + 4, "the first two count for no cap, and a Delete may follow its Condemn"
    await calm.sound(seconds=90.0)  # for a minute what is open of it stays so


async def test_a_put_without_a_version_hits_no_object_but_that_of_its_uid(calm: Scene) -> None:
    stored = await calm.kube.get("NetworkPolicy", NAMESPACE, "default-deny")
    del stored["metadata"]["resourceVersion"]
    again = await calm.kube.replace(stored)
    assert again["metadata"]["uid"] == stored["metadata"]["uid"]
    stored["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(KubeError) as refused:
        await calm.kube.replace(stored)
    assert refused.value.status == 409
    stored["metadata"]["name"] = "never-there"
    with pytest.raises(KubeError) as refused:
        await calm.kube.replace(stored)
    assert refused.value.status in (404, 409)
    assert await calm.kube.find("NetworkPolicy", NAMESPACE, "never-there") is None
