"""Whether the admission policies hold this login is proved by what the server answers, never by what is installed."""

import pytest
from aiohttp import web

from driftd.cluster import BOUNDS_POLICY, FENCE_POLICY, Forbidden, Session, guards
from driftd.cluster.guards import refused_by
from driftd.values import EPOCH, Body
from tests.support.api_server import ApiServer, answer, silence, status
from tests.support.cluster import HandClock


def denial(policy: str) -> Body:
    words = f"forbidden: ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: no"
    return status(403, "Forbidden", words)


def policies(namespace: str) -> tuple[str, str]:
    return "POST", f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"


CONFIGMAPS = ("POST", "/api/v1/namespaces/driftd/configmaps")


async def test_a_policy_that_refuses_holds(server: ApiServer, session: Session) -> None:
    server.fail("POST", "networkpolicies", answer(403, denial(FENCE_POLICY)))
    server.fail("POST", "configmaps", answer(422, denial(BOUNDS_POLICY)))
    assert [guard.holds for guard in await guards(session, "driftd")] == [True, True]
    assert all("dryRun=All" in line for line in server.seen if line.startswith("POST"))


async def test_one_that_lets_in_does_not_hold(server: ApiServer, session: Session, clock: HandClock) -> None:
    fence, bounds = await guards(session, "driftd", clock.sleep)
    assert (fence.policy, fence.holds, fence.why) == (FENCE_POLICY, False, "a write of epoch 0 would be let in")
    assert (bounds.policy, bounds.holds) == (BOUNDS_POLICY, False)
    assert all(one.remedy.startswith("apply deploy/manifests/admission.yaml") for one in (fence, bounds))
    assert "start every API server anew" in fence.remedy, "a fence of which nothing is refused may stand still, too"
    assert "API server" not in bounds.remedy


async def test_a_fence_that_learns_of_a_raised_epoch_a_moment_later_holds(server: ApiServer, session: Session) -> None:
    """Seen: asked within milliseconds of a raise, an API server still let the former epoch in: a false alarm."""

    async def catch_up(seconds: float) -> None:
        assert seconds >= 1
        server.fail("POST", "networkpolicies", answer(403, denial(FENCE_POLICY)))

    fence, bounds = await guards(session, "driftd", catch_up)
    assert (fence.holds, bounds.holds) == (True, False)


async def test_the_fence_is_asked_for_the_epoch_that_was_over_last(
    server: ApiServer, session: Session, clock: HandClock
) -> None:
    """An API server with a frozen parameter refuses epoch 0 as ever, and lets the former leader write."""
    fence: Body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "driftd-fence"}}
    path = "/api/v1/namespaces/driftd/configmaps/driftd-fence"
    for data, epoch in (({"epoch": "7"}, 6), (None, 0), ({"epoch": "many"}, 0)):
        server.routes["GET", path] = answer(200, {**fence, "data": data})
        found = (await guards(session, "driftd", clock.sleep))[0]
        assert (found.holds, found.why) == (False, f"a write of epoch {epoch} would be let in")


async def test_whether_a_fence_holds_is_not_known_where_the_ruling_epoch_cannot_be_read(
    server: ApiServer, session: Session, clock: HandClock
) -> None:
    """A frozen fence refuses epoch 0 as well: with a refused GET of its ConfigMap it seemed to hold."""
    server.fail("GET", "configmaps", answer(403, status(403, "Forbidden", "no such right")))
    server.fail("POST", "networkpolicies", answer(403, denial(FENCE_POLICY)))
    server.fail("POST", "configmaps", answer(403, denial(BOUNDS_POLICY)))
    fence, bounds = await guards(session, "driftd", clock.sleep)
    assert (fence.holds, bounds.holds) == (None, True)
    assert "configmaps/driftd-fence" in fence.why
    assert "no such right" in fence.why


async def test_a_fence_that_lets_epoch_0_in_does_not_hold_whatever_rules(
    server: ApiServer, session: Session, clock: HandClock
) -> None:
    server.fail("GET", "configmaps", answer(403, status(403, "Forbidden", "no such right")))
    fence = (await guards(session, "driftd", clock.sleep))[0]
    assert (fence.holds, fence.why) == (False, "a write of epoch 0 would be let in")


@pytest.mark.parametrize("policy", ["other", BOUNDS_POLICY])
async def test_a_refusal_by_somebody_else_tells_nothing(server: ApiServer, session: Session, policy: str) -> None:
    server.fail("POST", "networkpolicies", answer(403, denial(policy)))
    server.fail("POST", "configmaps", silence)
    fence, bounds = await guards(session, "driftd")
    assert (fence.holds, bounds.holds) == (None, None)
    assert policy in fence.why


async def test_a_name_in_the_message_is_not_enough_without_a_refusal(server: ApiServer, session: Session) -> None:
    server.fail("POST", "networkpolicies", answer(403, status(403, "Forbidden", "driftd-fence: no such right")))
    with pytest.raises(Forbidden) as caught:
        await session.request("POST", "/apis/networking.k8s.io/v1/namespaces/driftd/networkpolicies", body=b"{}")
    assert not refused_by(FENCE_POLICY, caught.value)


async def test_a_fence_that_stands_still_is_not_to_be_applied_again(
    server: ApiServer, session: Session, clock: HandClock
) -> None:
    """Seen: the remedy was to apply it, which changes nothing; only starting the API servers anew helps."""

    async def frozen_at_five(request: web.Request) -> web.StreamResponse:
        epoch = (await request.json())["metadata"]["annotations"].get(EPOCH, "0")
        refused = int(epoch) < 5
        return web.json_response(denial(FENCE_POLICY) if refused else {}, status=403 if refused else 201)

    server.put("/api/v1/namespaces/driftd/configmaps/driftd-fence", {"metadata": {}, "data": {"epoch": "7"}})
    server.routes[policies("driftd")] = frozen_at_five
    fence = (await guards(session, "driftd", clock.sleep))[0]
    assert (fence.holds, fence.why) == (False, "a write of epoch 6 would be let in")
    assert "stands still" in fence.remedy
    assert "start every API server anew" in fence.remedy
    assert "apply" not in fence.remedy


def bounds_hold(server: ApiServer, *protected: str) -> None:
    server.routes[policies("driftd")] = answer(403, denial(FENCE_POLICY))
    server.routes[CONFIGMAPS] = answer(403, denial(BOUNDS_POLICY))
    for namespace in protected:
        server.routes[policies(namespace)] = answer(403, denial(BOUNDS_POLICY))


def absent(namespace: str) -> Body:
    return status(404, "NotFound", f'namespaces "{namespace}" not found', name=namespace, kind="namespaces")


async def test_a_namespace_of_the_platform_that_nobody_protects_is_named_with_its_remedy(
    server: ApiServer, session: Session
) -> None:
    bounds_hold(server, "kube-system")
    server.routes[policies("gone")] = answer(404, absent("gone"))
    causes = [{"reason": "NamespaceTerminating", "message": "it goes", "field": "metadata.namespace"}]
    server.routes[policies("going")] = answer(403, status(403, "Forbidden", "it goes", causes=causes))
    platform = ("kube-system", "ingress", "gone", "falco", "going")
    *_, beyond = await guards(session, "driftd", platform=platform)
    assert (beyond.policy, beyond.holds) == (BOUNDS_POLICY, False)
    assert beyond.why == "a write into falco, ingress would be let in"
    assert beyond.remedy == "add to protectedNamespaces of the chart's values: falco, ingress"
    assert all("dryRun=All" in line for line in server.seen if line.startswith("POST"))


async def test_the_fence_has_nothing_against_what_the_bounds_are_asked(server: ApiServer, session: Session) -> None:
    epochs = []

    async def keep(request: web.Request) -> web.StreamResponse:
        epochs.append(int((await request.json())["metadata"]["annotations"][EPOCH]))
        return web.json_response(denial(BOUNDS_POLICY), status=403)

    bounds_hold(server)
    server.put("/api/v1/namespaces/driftd/configmaps/driftd-fence", {"metadata": {}, "data": {"epoch": "70000"}})
    server.routes[policies("ingress")] = keep
    *_, beyond = await guards(session, "driftd", platform=["ingress"])
    assert beyond.holds
    assert epochs[0] >= 70_000


async def test_where_no_namespace_of_the_platform_is_there_nothing_is_said_of_them(
    server: ApiServer, session: Session
) -> None:
    bounds_hold(server)
    server.routes[policies("gone")] = answer(404, absent("gone"))
    assert [one.policy for one in await guards(session, "driftd", platform=["gone"])] == [FENCE_POLICY, BOUNDS_POLICY]


@pytest.mark.parametrize("refusal", [status(403, "Forbidden", "no such right"), denial("other")])
async def test_a_refusal_that_is_not_the_bounds_own_protects_nothing(
    server: ApiServer, session: Session, refusal: Body
) -> None:
    bounds_hold(server, "kube-system")
    server.routes[policies("ingress")] = answer(403, refusal)
    *_, beyond = await guards(session, "driftd", platform=["kube-system", "ingress"])
    assert beyond.holds is None
    assert "namespaces/ingress" in beyond.why
    assert beyond.remedy


async def test_no_more_than_thirty_two_namespaces_are_tried(server: ApiServer, session: Session) -> None:
    names = [f"platform-{number:02}" for number in range(40)]
    bounds_hold(server, *names)
    *_, beyond = await guards(session, "driftd", platform=names)
    assert beyond.holds
    assert "8 more were not tried" in beyond.why
    assert sum("platform-" in line for line in server.seen) == 32


async def test_bounds_that_hold_nowhere_are_not_asked_about_each_namespace(
    server: ApiServer, session: Session, clock: HandClock
) -> None:
    assert len(await guards(session, "driftd", clock.sleep, ["ingress"])) == 2
    assert not [line for line in server.seen if "ingress" in line]
