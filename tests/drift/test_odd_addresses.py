"""What cannot be read counts for nothing in the engine, so it is told as not known."""

from functools import cache

from driftd.compile import Compiled, compile_model
from driftd.drift import Backings, Difference, World, relabelled_others, service_from_body, slice_from_body
from driftd.values import Body, Direction, FindingType, ObjectRef
from tests.support.drift_scope import live_of
from tests.support.model_texts import CLUSTER, PLAN, TO_API, environment, model
from tests.support.objects import endpoint_slice, network_set

API: Body = {"metadata": {"namespace": "shop", "name": "api"}, "spec": {"selector": {"app": "api"}, "ports": []}}


@cache
def compiled() -> Compiled:
    cluster = CLUSTER.replace("spec:\n", "spec:\n  cni: {dialect: calico}\n", 1)
    plan = PLAN + "spec: {egress: {https: public}}\n"
    shop = environment("shop", "acme") + TO_API
    return compile_model(model(cluster=cluster, plan=plan, acme=shop, globex=environment("desk", "globex")))


def test_a_service_with_an_address_that_nobody_can_read_is_not_known() -> None:
    """Seen: one such address made the engine pass over the whole slice, which was then nobody's finding."""
    fine = endpoint_slice("shop/a-fine", "api", ["203.0.113.9"], ("TCP", 8080))
    odd = endpoint_slice("shop/odd", "api", ["203.0.113.10", "203.0.113.300"], ("TCP", 8080))
    world = World(compiled())
    world.surround(Backings.of([service_from_body(API)], [slice_from_body(one) for one in (fine, odd)], {}))
    assert not world.knows(("shop", "api"))
    (found,) = relabelled_others(compiled(), world)
    assert (found.ref.name, found.type, found.direction) == ("odd", FindingType.MISDIRECTED, Direction.UNKNOWN)


def test_a_set_with_a_net_that_nobody_can_read_is_not_known_until_it_is_mended() -> None:
    body = network_set("shop/own", "203.0.113.0/24", "010.0.0.0/33", role="partner")
    ref = ObjectRef("projectcalico.org", "NetworkSet", "shop", "own")
    world = World(compiled())
    odd = world.judge([Difference(FindingType.UNEXPECTED, ref, None, live_of(body))])[ref]
    assert odd.direction is Direction.UNKNOWN
    mended = {**body, "spec": {"nets": ["203.0.113.0/24"]}}
    found = world.judge([Difference(FindingType.UNEXPECTED, ref, None, live_of(mended))])[ref]
    assert found.direction is Direction.NEUTRAL
