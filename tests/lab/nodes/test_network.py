"""Addresses of labs with nodes, and that a command is only ever run where it belongs."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from driftd.lab.nodes.network import NETWORKS, POD_RANGE, Network, fabric_commands, node_commands

numbers = st.integers(0, NETWORKS - 1)


@given(numbers, st.integers(0, 8))
def test_every_address_of_a_lab_lies_in_its_own_range_and_in_no_other_labs(number: int, index: int) -> None:
    network = Network(number)
    mine = ipaddress.ip_network(network.range)
    addresses = [ipaddress.ip_address(text) for text in (network.gateway, network.node(index))]
    assert len(set(addresses)) == 2
    assert all(address in mine for address in addresses)
    assert not mine.overlaps(ipaddress.ip_network(Network((number + 1) % NETWORKS).range))
    assert not mine.overlaps(ipaddress.ip_network(POD_RANGE))


@given(numbers)
def test_device_names_fit_the_kernel_and_tell_labs_apart(number: int) -> None:
    assert len(Network(number).device) <= 15  # IFNAMSIZ, with its final zero
    assert Network(number).device != Network((number + 1) % NETWORKS).device


def test_the_machines_own_network_gets_one_device_and_no_packet_filter_rule() -> None:
    network = Network(3)
    commands = [*fabric_commands(network, 100), *node_commands(network, 100, 0, 200)]
    here = [command for command in commands if command[0] != "nsenter"]
    assert all(command[0] == "ip" and network.device in command for command in here)
    assert all(command[0] == "nsenter" for command in commands if "nft" in command)
