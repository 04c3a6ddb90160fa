"""A server of the past: lists and watches as an API server gives them that lost its etcd a while ago."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from driftd.lab import Lab
from tests.support.faulty import OPEN, PATIENCE, Scene, allow_all, scene
from tests.support.proxy import Answer, Fate, Request, Rule, is_watch_of

pytestmark = [
    pytest.mark.control_plane,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

POLICIES = "apis/networking.k8s.io/v1/networkpolicies"
EXPIRED = Answer(410, "Gone", b'{"kind":"Status","apiVersion":"v1","code":410,"reason":"Expired","message":"too old"}')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wired(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(lab, tmp_path_factory.mktemp("past") / "data") as one:
        yield one


def is_list(request: Request) -> bool:
    return request.verb == "GET" and not request.is_watch and request.path.split("?")[0] == f"/{POLICIES}"


async def harmed(one: Scene) -> Answer:
    """Three harms that driftd puts right again, and the list as it was before it did."""
    one.daemon.send(signal.SIGSTOP)
    await one.kube.delete("NetworkPolicy", "acme-prod", "web-ingress")
    await one.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    await one.kube.create(allow_all("globex-prod", "hole"))
    listed = await one.kube.request("GET", POLICIES)
    one.daemon.send(signal.SIGCONT)
    await one.sound()
    return Answer(200, "OK", json.dumps(listed).encode())


def go_back(one: Scene, past: Answer) -> Rule:
    """From now on lists are of the past, and watches tell nothing."""

    async def old(_request: Request) -> Fate | Answer:
        return past

    async def expired(_request: Request) -> Fate | Answer:
        return EXPIRED

    rule = one.proxy.rule(is_list, before=old, times=1_000)
    one.proxy.rule(is_watch_of("networkpolicies"), before=expired, times=1)
    one.proxy.cut(is_watch_of("networkpolicies"))
    one.proxy.freeze(is_watch_of("networkpolicies"))
    return rule


async def served(one: Scene, rule: Rule, lists: int) -> None:
    async def often() -> bool:
        return rule.seen >= lists

    await one.until("lists of the past were served", often, 30.0)
    await asyncio.sleep(2.5)


async def test_what_a_stale_server_lacks_is_not_made_again_and_what_it_shows_is_not_written_over(wired: Scene) -> None:
    await wired.begin()
    past = await harmed(wired)
    await wired.mark()
    rule = go_back(wired, past)
    await served(wired, rule, 2)
    assert wired.writes() == []
    assert "create" not in {record.verb for record in wired.attempts()}, "a 404 proves an absence, a list does not"
    known = [event["event"] for event in wired.daemon.events()]
    assert "cluster.history.went_back" in known, "the list was not older: this test proves nothing"

    await wired.daemon.stop()
    before = rule.seen
    await wired.daemon.start(ready=False)
    await served(wired, rule, before + 1)
    assert wired.writes() == []
    assert "create" not in {record.verb for record in wired.attempts()}

    wired.proxy.rules.clear()
    wired.proxy.thaw()
    await wired.daemon.wait_ready(PATIENCE)
    await wired.kube.delete("NetworkPolicy", "globex-prod", "default-deny")
    found = await wired.sound()
    assert found.about("default-deny", "globex-prod")
    assert [record.key.name for record in wired.writes()] == ["default-deny"]
