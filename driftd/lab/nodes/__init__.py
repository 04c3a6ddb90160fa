"""Nodes of a lab: real kubelets, real pods, real packets, each node in namespaces of its own on this machine."""

from driftd.lab.nodes.cluster import Nodes, claim_network
from driftd.lab.nodes.ground import Ground
from driftd.lab.nodes.network import Network
from driftd.lab.nodes.node import SANDBOX_IMAGE, Node
from driftd.lab.nodes.packages import install_packages, missing_programs, packages_of
from driftd.lab.nodes.pods import Execution, Pods
from driftd.lab.nodes.programs import NodePrograms, ensure_node_programs, ready_node_programs
from driftd.lab.nodes.requirements import lacks, machine_lacks, refuse_older, refuse_without

__all__ = [
    "SANDBOX_IMAGE",
    "Execution",
    "Ground",
    "Network",
    "Node",
    "NodePrograms",
    "Nodes",
    "Pods",
    "claim_network",
    "ensure_node_programs",
    "install_packages",
    "lacks",
    "machine_lacks",
    "missing_programs",
    "packages_of",
    "ready_node_programs",
    "refuse_older",
    "refuse_without",
]
