"""What outlives a policy: the engine remembers what many policies say, and never what one of them says at length.

What is remembered is the same object when it is asked for again. Seen: memories that count entries, and kept thousands
of a hundred kilobytes each.
"""

from collections.abc import Callable
from typing import Any

import pytest

from driftd.policy.reach import block, calico_selector
from driftd.policy.reach.network_policy import read_network_policy
from driftd.policy.reach.ports import PortSet, of_spans
from tests.support.objects import network_policy


def peer(**written: Any) -> object:
    policy = read_network_policy(network_policy("a/p", podSelector={}, ingress=[{"from": [written]}]))
    assert policy.ingress is not None
    return policy.ingress[0].far


def values(many: int) -> object:
    listed = [f"value-{one}" for one in range(many)]
    return peer(podSelector={"matchExpressions": [{"key": "k", "operator": "NotIn", "values": listed}]})


def labels(many: int) -> object:
    return peer(podSelector={"matchLabels": {f"k{one}": "v" for one in range(many)}})


def exceptions(many: int) -> object:
    cut = [f"10.{one // 128}.{one % 128 * 2}.0/28" for one in range(many)]
    return peer(ipBlock={"cidr": "10.0.0.0/8", "except": cut})


def text(many: int) -> object:
    return calico_selector(" || ".join(f"k == 'value-{one}'" for one in range(many)))


def scattered(many: int, step: int) -> PortSet:
    return of_spans((step * one, step * one) for one in range(1, many + 1))


def ports(many: int) -> object:
    return scattered(many, 3)


def common(many: int) -> object:
    return scattered(many, 2) & scattered(many * 3, 6)


def both(many: int) -> object:
    return scattered(many, 4) | scattered(many, 6)


def rest(many: int) -> object:
    return scattered(many, 2) - scattered(many, 10)


@pytest.mark.parametrize("said", [values, labels, exceptions, text, ports, common, both, rest])
def test_only_what_is_short_is_remembered(said: Callable[[int], object]) -> None:
    assert said(3) is said(3)
    assert said(400) == said(400)
    assert said(400) is not said(400)


def test_a_zone_behind_an_address_is_no_address_however_long() -> None:
    with pytest.raises(ValueError, match="zone"):
        block("fe80::1%" + "z" * 1000)
