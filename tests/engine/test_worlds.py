"""A judgement that goes wrong: what stood open in its world stands in the next one, and nobody tries that again."""

from functools import cache
from typing import Any

import orjson
import pytest

from driftd.compile import Compiled
from driftd.drift import Difference, World
from driftd.engine.worlds import Worlds
from driftd.values import Digest, Direction, FindingType, Live, ObjectRef
from tests.support.stage import MODELS, ROOT, compiled_models


@cache
def compiled() -> Compiled:
    return compiled_models(MODELS)


def extra(namespace: str, name: str, spec: Any) -> Difference:
    ref = ObjectRef("networking.k8s.io", "NetworkPolicy", namespace, name)
    metadata = {"name": name, "namespace": namespace}
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
    live = Live(ref, orjson.dumps(body), Digest(orjson.dumps(spec)), "u", "1", terminating=False, managers=())
    return Difference(FindingType.UNEXPECTED, ref, None, live)


def all_of(namespace: str) -> Any:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


TO, FROM = [all_of("globex-prod"), {"ipBlock": {"cidr": "192.0.2.0/24"}}], [all_of("acme-prod")]
OUT = extra("acme-prod", "out", {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": TO}]})
IN = extra("globex-prod", "in", {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": FROM}]})


def fault(_world: World) -> None:
    raise RuntimeError("odd")


def test_what_stood_open_in_a_world_that_was_thrown_away_still_counts() -> None:
    worlds = Worlds()
    worlds.judge(compiled(), OUT)
    first = worlds.of(compiled())
    with pytest.raises(RuntimeError):
        worlds.ask(compiled(), fault)
    assert worlds.of(compiled()) is not first
    found = worlds.judge(compiled(), IN)
    assert found is not None
    assert found.crosses_tenant  # which takes both of them
    worlds.settle(OUT.ref)
    with pytest.raises(RuntimeError):
        worlds.ask(compiled(), fault)
    again = worlds.judge(compiled(), IN)
    assert again is not None
    assert not again.crosses_tenant


def test_a_strange_shape_costs_no_world() -> None:
    worlds = Worlds()
    worlds.judge(compiled(), OUT)
    world = worlds.of(compiled())
    assert worlds.judge(compiled(), extra("acme-prod", "odd", "no spec at all")) is None
    assert worlds.of(compiled()) is world
    assert not worlds.lost


class Broken(World):
    """Chokes on one policy, and counts how often it is asked."""

    asked = 0

    def judge(self, differences: Any) -> Any:
        if [one.ref.name for one in differences] == ["in"]:
            Broken.asked += 1
            raise RuntimeError("odd")
        return super().judge(differences)


def test_what_a_world_broke_on_is_not_tried_again_and_the_loss_is_told() -> None:
    worlds = Worlds(make=Broken)
    worlds.judge(compiled(), OUT)
    assert worlds.judge(compiled(), IN) is None
    assert worlds.lost
    assert worlds.judge(compiled(), IN) is None
    assert Broken.asked == 1
    found = worlds.judge(compiled(), OUT)
    assert found is not None
    assert found.direction is Direction.LOOSENS


def test_another_model_begins_with_nothing_open() -> None:
    worlds = Worlds()
    worlds.judge(compiled(), OUT)
    other = compiled_models(ROOT / "tests" / "models" / "calico")
    worlds.of(other)
    assert worlds.standing == {}
