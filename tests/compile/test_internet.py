"""The public internet is everything but what is special, the cluster's own, or denied: address by address."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.compile import public_internet
from driftd.model import Cluster
from tests.support.models import CLUSTER, written

SPECIAL = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
]  # fmt: skip


def cluster(pods: str = "10.244.0.0/16", services: str = "10.96.0.0/16", deny: str = "") -> Cluster:
    text = CLUSTER.replace("pods: [10.244.0.0/16], services: [10.96.0.0/16]", f"pods: [{pods}], services: [{services}]")
    return written(cluster=f"{text}  denyCIDRs: [{deny}]\n").cluster


def test_without_own_public_ranges_the_exceptions_are_exactly_the_special_ones() -> None:
    (peer,) = public_internet(cluster())
    assert peer == {"ipBlock": {"cidr": "0.0.0.0/0", "except": SPECIAL}}


def test_own_and_denied_ranges_are_cut_out_unless_they_are_special_anyway() -> None:
    (peer,) = public_internet(cluster(services="203.0.113.0/24", deny="168.63.129.16/32, 203.0.113.7/32, 10.1.0.0/16"))
    assert set(peer["ipBlock"]["except"]) == {*SPECIAL, "203.0.113.0/24", "168.63.129.16/32"}


def test_ipv6_is_open_only_where_pods_have_it() -> None:
    only_services = public_internet(cluster(services="10.96.0.0/16, 'fd00:1::/108'"))
    assert [peer["ipBlock"]["cidr"] for peer in only_services] == ["0.0.0.0/0"]
    _, peer = public_internet(
        cluster("10.244.0.0/16, '2001:db8:1::/48'", "10.96.0.0/16, 'fd00:1::/108'", deny="'2001:db8:1:2::/64'")
    )
    assert peer == {"ipBlock": {"cidr": "2000::/3", "except": ["2001:db8:1::/48", "2002::/16"]}}


def test_nothing_is_open_when_everything_is_denied() -> None:
    assert public_internet(cluster(deny="0.0.0.0/0")) == ()


denied = st.builds(
    lambda address, length: ipaddress.IPv4Network((address, length), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(1, 32),
)


@settings(max_examples=50)
@given(st.lists(denied, max_size=4), st.integers(0, 2**32 - 1))
def test_an_address_is_public_exactly_if_nothing_closes_it(denials: list[ipaddress.IPv4Network], number: int) -> None:
    peers = public_internet(cluster(deny=", ".join(map(str, denials))))
    closed = [ipaddress.IPv4Network(text) for text in SPECIAL] + denials
    closed += [ipaddress.IPv4Network(text) for text in ("10.244.0.0/16", "10.96.0.0/16", "10.99.0.0/24")]
    for address in (ipaddress.IPv4Address(number), *(one.network_address for one in denials)):
        is_public = not any(address in network for network in closed)
        allowed = any(
            address in ipaddress.IPv4Network(peer["ipBlock"]["cidr"])
            and not any(address in ipaddress.IPv4Network(one) for one in peer["ipBlock"]["except"])
            for peer in peers
        )
        assert allowed is is_public


@pytest.mark.parametrize("deny", ["'::/0'", "'::/1'"])
def test_an_exception_wider_than_the_block_leaves_nothing_of_it(deny: str) -> None:
    peers = public_internet(cluster("10.244.0.0/16, '2001:db8:1::/48'", deny=deny))
    assert [peer["ipBlock"]["cidr"] for peer in peers] == ["0.0.0.0/0"]
