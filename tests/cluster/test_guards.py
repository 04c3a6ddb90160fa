"""Whether the admission policies hold this login is proved by what the server answers, never by what is installed."""

import pytest

from driftd.cluster import BOUNDS_POLICY, FENCE_POLICY, Forbidden, Guard, Session, guards
from driftd.cluster.guards import refused_by
from driftd.values import Body
from tests.support.api_server import ApiServer, answer, silence, status
from tests.support.cluster import HandClock


def denial(policy: str) -> Body:
    words = f"forbidden: ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: no"
    return status(403, "Forbidden", words)


async def test_a_policy_that_refuses_holds(server: ApiServer, session: Session) -> None:
    server.fail("POST", "networkpolicies", answer(403, denial(FENCE_POLICY)))
    server.fail("POST", "configmaps", answer(422, denial(BOUNDS_POLICY)))
    assert [guard.holds for guard in await guards(session, "driftd")] == [True, True]
    assert all("dryRun=All" in line for line in server.seen if line.startswith("POST"))


async def test_one_that_lets_in_does_not_hold(server: ApiServer, session: Session, clock: HandClock) -> None:
    fence, bounds = await guards(session, "driftd", clock.sleep)
    assert fence == Guard(FENCE_POLICY, holds=False, why="a write of epoch 0 would be let in")
    assert bounds.holds is False


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
        assert found == Guard(FENCE_POLICY, holds=False, why=f"a write of epoch {epoch} would be let in")


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
    assert fence == Guard(FENCE_POLICY, holds=False, why="a write of epoch 0 would be let in")


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
