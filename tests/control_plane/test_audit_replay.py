"""The audit replay against the real server: it rebuilds what the server had, in the order in which it had it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest

from driftd.lab import Lab
from tests.oracle.bodies import Body
from tests.oracle.replay import NETWORK_POLICIES, Key, Record, State, Step, read, replay
from tests.oracle.tallies import writes
from tests.support.kube import Kube, KubeError

pytestmark = pytest.mark.control_plane


class Place:
    """A namespace of its own on the shared server, and what the log says about it since it was made."""

    def __init__(self, lab: Lab, kube: Kube, namespace: str, start: int) -> None:
        self.lab = lab
        self.kube = kube
        self.namespace = namespace
        self.start = start

    def policy(self, name: str, app: str = "x", **metadata: object) -> Body:
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": self.namespace, **metadata},
            "spec": {"podSelector": {"matchLabels": {"app": app}}},
        }

    def records(self) -> list[Record]:
        lines = self.lab.audit_log.read_bytes()[self.start :].splitlines(keepends=True)
        return [record for record in read(lines) if self.namespace in (record.key.namespace, record.key.name)]

    def steps(self) -> list[Step]:
        return list(replay(self.records()))

    async def listed(self) -> dict[str, Body]:
        return {body["metadata"]["name"]: body for body in await self.kube.list("NetworkPolicy", self.namespace)}


@pytest.fixture
async def place(lab: Lab) -> AsyncIterator[Place]:
    start = lab.audit_log.stat().st_size
    async with Kube.connect(lab.kubeconfig) as kube:
        name = f"replay-{uuid4().hex[:8]}"
        await kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        yield Place(lab, kube, name, start)
        await kube.delete("Namespace", "", name)


def policies(state: State) -> dict[str, str]:
    """Resource versions by name."""
    return {body["metadata"]["name"]: body["metadata"]["resourceVersion"] for body in state.of(NETWORK_POLICIES)}


def versions(listed: dict[str, Body]) -> dict[str, str]:
    return {name: body["metadata"]["resourceVersion"] for name, body in listed.items()}


async def test_one_write_after_the_other_each_state_is_the_one_the_server_had(place: Place) -> None:
    kube, seen = place.kube, list[dict[str, str]]()
    await kube.create(place.policy("a"))
    seen.append(versions(await place.listed()))
    await kube.merge("NetworkPolicy", place.namespace, "a", {"spec": {"ingress": [{}]}})
    seen.append(versions(await place.listed()))
    await kube.merge("NetworkPolicy", place.namespace, "a", {"spec": {"ingress": [{}]}})  # changes nothing
    await kube.create(place.policy("b", finalizers=["example.org/hold"]))
    seen.append(versions(await place.listed()))
    await kube.delete("NetworkPolicy", place.namespace, "b")  # marked only
    seen.append(versions(await place.listed()))
    await kube.delete("NetworkPolicy", place.namespace, "a")
    seen.append(versions(await place.listed()))
    await kube.create(place.policy("a", app="again"))
    seen.append(versions(await place.listed()))
    await kube.merge("NetworkPolicy", place.namespace, "b", {"metadata": {"finalizers": None}})  # the end of it
    seen.append(versions(await place.listed()))
    await kube.request("POST", f"{kube.path('NetworkPolicy', place.namespace)}?dryRun=All", body=place.policy("dry"))
    await kube.request("DELETE", kube.path("NetworkPolicy", place.namespace))  # the collection
    seen.append({})
    steps = [step for step in place.steps() if any(key.resource == "networkpolicies" for key in step.changed)]
    assert [policies(step.state) for step in steps] == seen


async def test_writes_by_many_at_once_are_replayed_in_the_order_of_the_servers_own_watch(place: Place) -> None:
    start = (await place.kube.request("GET", place.kube.path("NetworkPolicy", place.namespace)))["metadata"]
    await asyncio.gather(*(_worker(place, number) for number in range(6)))
    events = await _watched(place, start["resourceVersion"])
    truth: dict[str, list[tuple[str, str]]] = {}
    for kind, body in events:
        state = "gone" if kind == "DELETED" else body["metadata"]["resourceVersion"]
        truth.setdefault(body["metadata"]["name"], []).append((body["metadata"]["uid"], state))
    told: dict[str, list[tuple[str, str]]] = {}
    last: dict[Key, Body] = {}
    for step in place.steps():
        for key in step.changed:
            now = step.state.objects.get(key)
            if key.resource == "networkpolicies":
                known = now or last[key]
                state = now["metadata"]["resourceVersion"] if now else "gone"
                told.setdefault(key.name, []).append((known["metadata"]["uid"], state))
                last[key] = known
    assert told == truth
    assert policies(place.steps()[-1].state) == versions(await place.listed())


async def test_deleting_a_namespace_ends_with_nothing_in_it(place: Place) -> None:
    await place.kube.create(place.policy("held", finalizers=["example.org/hold"]))
    await place.kube.create(place.policy("plain"))
    await place.kube.delete("Namespace", "", place.namespace)
    await _until(lambda: "plain" not in policies(place.steps()[-1].state))
    assert Key("", "namespaces", "", place.namespace) in place.steps()[-1].state.objects
    await place.kube.merge("NetworkPolicy", place.namespace, "held", {"metadata": {"finalizers": None}})
    await _until(lambda: not place.steps()[-1].state.objects)
    assert await place.kube.find("Namespace", "", place.namespace) is None
    await place.kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.namespace}})


async def test_writes_are_counted_as_they_were_made(place: Place) -> None:
    await place.kube.create(place.policy("a"))
    for app in ("y", "z"):
        await place.kube.merge(
            "NetworkPolicy", place.namespace, "a", {"spec": {"podSelector": {"matchLabels": {"app": app}}}}
        )
    await place.listed()
    counted = writes(place.records())
    assert counted.to(Key(*NETWORK_POLICIES, place.namespace, "a")) == 3


async def _watched(place: Place, version: str) -> list[tuple[str, Body]]:
    """What the server's watch tells of everything since `version`."""
    path = f"{place.kube.path('NetworkPolicy', place.namespace)}?watch=1&timeoutSeconds=2&resourceVersion={version}"
    async with place.kube._session.get(f"{place.kube._server}/{path}", ssl=place.kube._ssl) as answer:
        events = [json.loads(line) for line in (await answer.text()).splitlines()]
    return [(event["type"], event["object"]) for event in events]


async def _worker(place: Place, number: int) -> None:
    """Creates, changes and deletes two names that it shares with others; refusals are part of the game."""
    for turn in range(8):
        name = f"p{(number + turn) % 4}"
        await _tolerant(place.kube.create(place.policy(name, app=f"{number}-{turn}")))
        patch = {"metadata": {"labels": {"turn": f"{number}-{turn}"}}}
        await _tolerant(place.kube.merge("NetworkPolicy", place.namespace, name, patch))
        if turn % 2:
            await _tolerant(place.kube.delete("NetworkPolicy", place.namespace, name))


async def _tolerant(work: Awaitable[Body]) -> None:
    try:
        await work
    except KubeError as error:
        if error.status not in (404, 409):
            raise


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        for _ in range(150):
            if holds():
                return
            await asyncio.sleep(0.2)
    pytest.fail("waited in vain")
