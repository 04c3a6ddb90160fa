"""What the specification leaves open, as worlds: each world answers every open question one way."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Allowed(Enum):
    """The answer to "may this connection be made?". OPEN: conforming implementations disagree."""

    YES = "yes"
    NO = "no"
    OPEN = "open"


@dataclass(frozen=True)
class World:
    """One consistent reading of the open questions; within it every connection is either allowed or not."""

    ip_block_covers_pods: bool
    """Whether ipBlock matches the addresses of pods, or only what is outside of the cluster."""
    ip_block_covers_nodes: bool
    """Whether ipBlock matches the addresses of nodes, and with them host-network pods."""
    ip_block_covers_virtual: bool
    """Whether ipBlock is asked about a Service's own address, or only about what that has been translated to."""
    port_ranges: bool
    """Whether endPort is read. A plugin that does not know it allows the first port alone."""
    host_network_is_node: bool
    """True: policies and selectors ignore host-network pods, which are their node. False: they are pods like others."""
    self_always: bool
    """Whether a pod always reaches itself."""
    to_own_node_always: bool
    """Whether a pod always reaches its own node. (The way back, node to its pods, is always open.)"""
    other_protocols_like_these: bool
    """Whether policies treat ICMP and the like as any traffic (rules without ports cover it), or in no defined way."""


DIALECTS: dict[str, tuple[World, ...]] = {
    # The text alone: ipBlock "should be" external addresses, host-network behaviour is undefined between two readings,
    # a pod cannot block itself, and traffic to and from the node a pod runs on is always allowed. Whether Services'
    # addresses are seen and whether endPort is read are questions of the plugin, too. What more a rule covers only
    # ever allows more, so the most and the least generous answers to those three bound all others.
    "kubernetes": tuple(
        World(
            ip_block_covers_pods=generous,
            ip_block_covers_nodes=True,
            ip_block_covers_virtual=generous,
            port_ranges=generous,
            host_network_is_node=node,
            self_always=True,
            to_own_node_always=True,
            other_protocols_like_these=False,
        )
        for generous in (True, False)
        for node in (True, False)
    ),
    # Addresses are addresses; host-network pods are no workload endpoints; own traffic never leaves the pod;
    # egress policy also guards the way to the own node. Policies are asked after a Service's address was translated.
    "calico": (
        World(
            ip_block_covers_pods=True,
            ip_block_covers_nodes=True,
            ip_block_covers_virtual=False,
            port_ranges=True,
            host_network_is_node=True,
            self_always=True,
            to_own_node_always=False,
            other_protocols_like_these=True,
        ),
    ),
    # Identities before addresses: whatever has an identity (pods, hosts) is never matched by CIDR. Old releases do not
    # know endPort. Here, too, the open questions are bounded by the most and the least generous answer to all of them.
    "cilium": tuple(
        World(
            ip_block_covers_pods=False,
            ip_block_covers_nodes=False,
            ip_block_covers_virtual=generous,
            port_ranges=generous,
            host_network_is_node=True,
            self_always=generous,
            to_own_node_always=False,
            other_protocols_like_these=True,
        )
        for generous in (True, False)
    ),
}


def over_worlds(dialect: str, holds: Callable[[World], bool]) -> Allowed:
    """YES when it holds in every world of the dialect, NO when in none, else OPEN."""
    answers = {holds(world) for world in DIALECTS[dialect]}
    if answers == {True}:
        return Allowed.YES
    if answers == {False}:
        return Allowed.NO
    return Allowed.OPEN
