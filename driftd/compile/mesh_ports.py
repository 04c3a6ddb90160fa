"""What a mesh needs of the network layer, so that default-deny does not cut its proxies off.

Sources: Istio "Ports used by Istio" (istiod serves configuration and certificates on 15012); Linkerd 2 control plane
(identity 8080, destination 8086, policy 8090) and its proxies' inbound port 4143. Facts in mesh.md 5.
"""

from driftd.compile.peers import peer_rule, pods_of, port, tcp
from driftd.model import Cluster, PortSpec
from driftd.values import Body

_LINKERD_INBOUND = 4143
_LINKERD_COMPONENT = "linkerd.io/control-plane-component"


def control_plane_egress(cluster: Cluster) -> tuple[Body, ...]:
    """Egress rules from every meshed pod to the control plane; none without a mesh."""
    mesh = cluster.spec.mesh
    match mesh.kind:
        case "istio":
            return (peer_rule("to", pods_of(mesh.root, {"app": "istiod"}), tcp(15012)),)
        case "linkerd":
            return (
                peer_rule("to", pods_of(mesh.root, {_LINKERD_COMPONENT: "destination"}), tcp(8086), tcp(8090)),
                peer_rule("to", pods_of(mesh.root, {_LINKERD_COMPONENT: "identity"}), tcp(8080)),
            )
        case "none":
            return ()


def edge_ports(cluster: Cluster, named: PortSpec) -> tuple[Body, ...]:
    """The ports that a connection between two pods of the cluster uses: the named one, and what a mesh adds.

    Linkerd's proxies may carry any TCP connection on their inbound port: there the mesh's own policy decides.
    """
    if cluster.spec.mesh.kind == "linkerd" and named.protocol == "TCP":
        return port(named), tcp(_LINKERD_INBOUND)
    return (port(named),)
