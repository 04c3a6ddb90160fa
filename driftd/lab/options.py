"""What may be chosen about a lab; the defaults are what the demo and the tests run on."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds after which a wait on a part is given up. Generous: a busy machine is slow, not broken."""

    etcd_ready: float = 60.0
    apiserver_ready: float = 120.0
    controller_manager_ready: float = 90.0
    request: float = 30.0
    """One request of the lab itself to its API server or etcd."""
    node_ready: float = 180.0
    """One program of a node, or the node itself as the API server sees it, or the cluster's DNS."""
    stop_grace: float = 10.0
    """From SIGTERM to SIGKILL."""


@dataclass(frozen=True, slots=True)
class LabOptions:
    """The shape of a control plane. Extra flags come last on a command line and so win over the lab's own."""

    service_range: str = "10.96.0.0/16"
    compaction_interval: str = "1m"
    """How often the API server has etcd forget old revisions, as a Go duration; Kubernetes' own default is 5m."""
    controller_manager: bool = True
    nodes: int = 0
    """Nodes that run pods (`driftd.lab.nodes`): needs Linux, root and a controller-manager."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    etcd_flags: tuple[str, ...] = ()
    apiserver_flags: tuple[str, ...] = ()
    controller_manager_flags: tuple[str, ...] = ()
    port_attempts: int = 5
    """How many sets of ports are tried when other programs keep taking them."""
