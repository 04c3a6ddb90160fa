"""Which kinds of a cluster bear policy: the table of decision D4.

The table is by group and kind. Groups that exist for network policy are listed whole: a kind of such a group that the
table lacks is UNLISTED, because a later version of that product has learned something we have not. Of other groups only
the kinds that bear policy are named. Harmless are kinds that a controller derives, and those that route, measure or
allot addresses without saying who may talk to whom.
"""

from enum import StrEnum

from driftd.policy.kinds.calico_names import ALIASES
from driftd.policy.kinds.evaluated import EVALUATED
from driftd.policy.kinds.registry import KINDS


class Bearing(StrEnum):
    """What a kind means for isolation."""

    GOVERNED = "governed"  # driftd compares and repairs it
    EVALUATED = "evaluated"  # read whole and judged by its effect, never written
    POLICY = "policy"  # bears policy, not understood: an instance over a governed namespace is a finding
    HARMLESS = "harmless"  # of a policy group, but derived or without effect on who may talk to whom
    UNLISTED = "unlisted"  # of a policy group, unknown to the table: its existence is a finding
    FOREIGN = "foreign"  # none of our business


_POLICY: dict[str, str] = {
    "cilium.io": (
        "CiliumNetworkPolicy CiliumClusterwideNetworkPolicy CiliumCIDRGroup CiliumEgressGatewayPolicy "
        "CiliumLocalRedirectPolicy CiliumEnvoyConfig CiliumClusterwideEnvoyConfig CiliumNodeConfig"
    ),
    "policy.networking.k8s.io": "",
    "crd.antrea.io": "NetworkPolicy ClusterNetworkPolicy Tier ClusterGroup Group Egress TrafficControl ExternalEntity",
    "projectcalico.org": (
        "HostEndpoint Profile ExternalNetwork EgressGatewayPolicy FelixConfiguration KubeControllersConfiguration"
    ),
    "security.istio.io": "AuthorizationPolicy PeerAuthentication RequestAuthentication",
    "networking.istio.io": ("DestinationRule EnvoyFilter Gateway ProxyConfig ServiceEntry Sidecar WorkloadEntry"),
    "extensions.istio.io": "TrafficExtension WasmPlugin",
    "policy.linkerd.io": (
        "AuthorizationPolicy EgressNetwork HTTPLocalRateLimitPolicy HTTPRoute MeshTLSAuthentication "
        "NetworkAuthentication Server ServerAuthorization"
    ),
    "networking.k8s.aws": "ApplicationNetworkPolicy ClusterNetworkPolicy",
    "vpcresources.k8s.aws": "SecurityGroupPolicy",
    "k8s.ovn.org": (
        "AdminPolicyBasedExternalRoute ClusterUserDefinedNetwork EgressFirewall EgressIP EgressService "
        "UserDefinedNetwork ClusterNetworkConnect"
    ),
    "kubeovn.io": "SecurityGroup Subnet Vpc VpcPeering VpcEgressGateway VpcNatGateway ProviderNetwork Vlan",
}

_HARMLESS: dict[str, str] = {
    "cilium.io": (
        "CiliumEndpoint CiliumEndpointSlice CiliumIdentity CiliumNode CiliumExternalWorkload CiliumLoadBalancerIPPool "
        "CiliumL2AnnouncementPolicy CiliumPodIPPool CiliumGatewayClassConfig CiliumBGPPeeringPolicy "
        "CiliumBGPClusterConfig CiliumBGPPeerConfig CiliumBGPAdvertisement CiliumBGPNodeConfig "
        "CiliumBGPNodeConfigOverride CiliumVTEPConfig"
    ),
    "policy.networking.k8s.io": "",
    "crd.antrea.io": (
        "AntreaAgentInfo AntreaControllerInfo AntreaClusterNetworkPolicyStats BGPPolicy ExternalIPPool ExternalNode "
        "IPPool NodeLatencyMonitor PacketCapture SupportBundleCollection Traceflow"
    ),
    "projectcalico.org": (
        "StagedNetworkPolicy StagedGlobalNetworkPolicy StagedKubernetesNetworkPolicy WorkloadEndpoint IPPool "
        "IPReservation IPAMBlock IPAMHandle IPAMConfig IPAMConfiguration BlockAffinity Node ClusterInformation "
        "CalicoNodeStatus BGPConfiguration BGPPeer BGPFilter PacketCapture RemoteClusterConfiguration"
    ),
    "security.istio.io": "",
    "networking.istio.io": "VirtualService WorkloadGroup",
    "extensions.istio.io": "",
    "policy.linkerd.io": "",
    "networking.k8s.aws": "PolicyEndpoint ClusterPolicyEndpoint",
    "vpcresources.k8s.aws": "CNINode",
    "k8s.ovn.org": "EgressQoS NetworkQoS RouteAdvertisements",
    "kubeovn.io": (
        "BgpConf DNSNameResolver EvpnConf IP IPPool IptablesDnatRule IptablesEIP IptablesFIPRule IptablesSnatRule "
        "OvnDnatRule OvnEip OvnFip OvnSnatRule QoSPolicy SwitchLBRule Vip VpcDns"
    ),
}

_BESIDE: frozenset[tuple[str, str]] = frozenset(
    {
        ("k8s.cni.cncf.io", "MultiNetworkPolicy"),
        ("k8s.cni.cncf.io", "NetworkAttachmentDefinition"),
        ("networking.gke.io", "FQDNNetworkPolicy"),
        ("networking.gke.io", "NetworkLogging"),
        ("network.openshift.io", "EgressNetworkPolicy"),
        ("network.openshift.io", "NetNamespace"),
        ("telemetry.istio.io", "Telemetry"),
    }
)
"""Kinds that bear policy in groups that hold much else: the rest of these groups is foreign."""


def _table() -> dict[tuple[str, str], Bearing]:
    found: dict[tuple[str, str], Bearing] = {}
    for bearing, groups in ((Bearing.HARMLESS, _HARMLESS), (Bearing.POLICY, _POLICY)):
        for group, kinds in groups.items():
            found.update(((group, kind), bearing) for kind in kinds.split())
    found.update((pair, Bearing.POLICY) for pair in _BESIDE)
    found.update((pair, Bearing.EVALUATED) for pair in EVALUATED)
    found.update((pair, Bearing.GOVERNED) for pair in KINDS)
    found.update(
        ((alias, kind), known)
        for alias, of in ALIASES.items()
        for (group, kind), known in tuple(found.items())
        if group == of
    )
    return found


_TABLE = _table()
POLICY_GROUPS = frozenset({*_POLICY, *ALIASES})
"""Groups that are listed whole."""


def bearing(group: str, kind: str) -> Bearing:
    """What a kind of the cluster means for isolation; total over all strings."""
    known = _TABLE.get((group, kind))
    if known is not None:
        return known
    return Bearing.UNLISTED if group in POLICY_GROUPS else Bearing.FOREIGN
