"""Addresses and wires of a lab's nodes. Pure: numbers and process ids in, addresses and `ip` commands out.

Each node's network namespace is joined by a veth to a bridge, which stands in a namespace of its own too (the fabric).
Of all that, the machine's own network namespace sees one device: a veth to the bridge, which carries the API server's
address. It goes by itself when the fabric's process ends. No packet filter rule of the machine is read or written.
"""

from collections.abc import Iterable
from dataclasses import dataclass

POD_RANGE = "10.244.0.0/16"
DOMAIN = "cluster.local"
API_PORT = 6443
NETWORKS = 256
"""How many labs with nodes one machine can hold at a time."""
_FIRST_NODE = 11


@dataclass(frozen=True, slots=True)
class Network:
    """One lab's share of 10.99.0.0/16, by its number: the supervisor sees to it that no two labs have the same."""

    number: int

    @property
    def device(self) -> str:
        """The one device in the machine's own network namespace; also the name of the lab's cgroup."""
        return f"driftd-lab-{self.number}"

    @property
    def claim(self) -> str:
        """The name under which `supervisor.Claims` holds the number."""
        return f"driftd-lab-network-{self.number}"

    @property
    def gateway(self) -> str:
        """The machine as the nodes see it: the API server listens here, and nowhere else."""
        return f"10.99.{self.number}.1"

    @property
    def range(self) -> str:
        return f"10.99.{self.number}.0/24"

    def node(self, index: int) -> str:
        """The address of node `index`, from 0."""
        return f"10.99.{self.number}.{_FIRST_NODE + index}"


def inside(process: int, *namespaces: str) -> tuple[str, ...]:
    """The start of a command line that runs a program in some namespaces of a process (`nsenter(1)`)."""
    return ("nsenter", f"--target={process}", *(f"--{name}" for name in namespaces), "--")


def fabric_commands(network: Network, fabric: int) -> Iterable[tuple[str, ...]]:
    """Wire the machine to the bridge. The veth is made with its far end in the fabric: so it cannot outlive that."""
    there = inside(fabric, "net")
    yield ("ip", "link", "add", network.device, "type", "veth", "peer", "name", "uplink", "netns", str(fabric))
    yield ("ip", "address", "add", f"{network.gateway}/24", "dev", network.device)
    yield ("ip", "link", "set", network.device, "up")
    yield (*there, "ip", "link", "add", "fabric", "type", "bridge")
    yield (*there, "ip", "link", "set", "fabric", "up")
    yield (*there, "ip", "link", "set", "uplink", "master", "fabric", "up")


def node_commands(network: Network, fabric: int, index: int, node: int) -> Iterable[tuple[str, ...]]:
    """Wire one node to the bridge. The default route is needed for Service addresses, which no link has."""
    there, here = inside(fabric, "net"), inside(node, "net")
    name = f"node-{index + 1}"
    yield (*there, "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(node))
    yield (*there, "ip", "link", "set", name, "master", "fabric", "up")
    yield (*here, "ip", "link", "set", "lo", "up")
    yield (*here, "ip", "address", "add", f"{network.node(index)}/24", "dev", "eth0")
    yield (*here, "ip", "link", "set", "eth0", "up")
    yield (*here, "ip", "route", "add", "default", "via", network.gateway)
    yield (*inside(node, "net", "mount"), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    # What a pod sends out of the pods' range leaves under its node's address: the machine has no route back to pods.
    rule = f"ip saddr {POD_RANGE} ip daddr != {POD_RANGE} oifname eth0 masquerade"
    chain = f"chain out {{ type nat hook postrouting priority srcnat; {rule}; }}"
    yield (*here, "nft", f"add table ip driftd-lab {{ {chain}; }}")
