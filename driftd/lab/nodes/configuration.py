"""Configuration files and flags of a node's programs. Pure: paths and addresses in, texts and flags out."""

import json
from dataclasses import dataclass
from pathlib import Path

from driftd.lab.nodes.init import KUBELET_FOLDER
from driftd.lab.nodes.network import DOMAIN, POD_RANGE

RUNTIME_SOCKET = "/run/containerd/containerd.sock"
AGENT_SOCKET = "/run/cilium/cilium.sock"
KUBELET_PORT = 10250
PROXY_HEALTH_PORT = 10256


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """Where everything of one node lies in the lab's data folder."""

    root: Path

    @property
    def containerd(self) -> Path:
        return self.root / "containerd"

    @property
    def containerd_configuration(self) -> Path:
        return self.root / "containerd.toml"

    @property
    def cni_programs(self) -> Path:
        return self.root / "cni-bin"

    @property
    def cni_configuration(self) -> Path:
        return self.root / "cni-conf"

    @property
    def kubelet(self) -> Path:
        """The node sees it as `KUBELET_FOLDER`."""
        return self.root / "kubelet"

    @property
    def kubelet_configuration(self) -> Path:
        return self.root / "kubelet.json"

    @property
    def proxy_configuration(self) -> Path:
        return self.root / "kube-proxy.json"

    @property
    def resolver(self) -> Path:
        return self.root / "resolv.conf"

    @property
    def network_configuration(self) -> Path:
        return self.cni_configuration / "05-cilium.conflist"

    def kubeconfig(self, part: str) -> Path:
        return self.root / f"{part}.kubeconfig"

    def create(self) -> None:
        """Make the folders, private."""
        for folder in (self.root, self.containerd, self.cni_programs, self.cni_configuration, self.kubelet):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def containerd_configuration(files: NodeFiles, sandbox_image: str, *, restrict_oom_scores: bool) -> str:
    """For containerd 1.6 and newer (configuration version 2).

    Without CAP_SYS_RESOURCE nobody may give a container a negative OOM score; unless told to restrict it, runc dies of
    the attempt with words about something else.
    """
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    restricted = str(restrict_oom_scores).lower()
    return f"""version = 2
root = {_quoted(files.containerd)}
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = {_quoted(RUNTIME_SOCKET)}
[plugins."io.containerd.internal.v1.opt"]
  path = "/run/containerd/opt"
[{cri}]
  sandbox_image = {_quoted(sandbox_image)}
  restrict_oom_score_adj = {restricted}
[{cri}.cni]
  bin_dir = {_quoted(files.cni_programs)}
  conf_dir = {_quoted(files.cni_configuration)}
[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
  SystemdCgroup = false
"""


def _quoted(value: str | Path) -> str:
    return json.dumps(str(value))  # a JSON string is a TOML string


def network_configuration() -> str:
    """The CNI configuration, written by the lab once the agent is ready: while there is none, no pod is started.

    The agent could write it itself, but by a rename, which containerd 1.6 does not notice.
    """
    plugin = {"type": "cilium-cni", "enable-debug": False, "log-file": "/run/cilium/cilium-cni.log"}
    return json.dumps({"cniVersion": "0.3.1", "name": "cilium", "plugins": [plugin]})


def kubelet_configuration(
    files: NodeFiles, *, address: str, cluster_dns: str, cgroup: str, root: Path, certificate: Path, key: Path
) -> str:
    """A KubeletConfiguration (`kubelet.config.k8s.io/v1beta1`) that touches nothing outside of the node.

    JSON is YAML. The pods' logs lie under the node's own /var/log.
    """
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": address,
            "port": KUBELET_PORT,
            "healthzBindAddress": "127.0.0.1",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(root)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
            "containerRuntimeEndpoint": f"unix://{RUNTIME_SOCKET}",
            "clusterDNS": [cluster_dns],
            "clusterDomain": DOMAIN,
            "resolvConf": str(files.resolver),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "enforceNodeAllocatable": [],
            # The machine's disk and memory are others' too: a lab evicts nobody before they are really at their end.
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "makeIPTablesUtilChains": False,
            "volumePluginDir": f"{KUBELET_FOLDER}/volume-plugins",
            "shutdownGracePeriod": "0s",
        },
        indent=1,
    )


def kubelet_flags(files: NodeFiles, name: str, address: str) -> tuple[str, ...]:
    """What its configuration file cannot say."""
    return (
        f"--config={files.kubelet_configuration}",
        f"--kubeconfig={files.kubeconfig('kubelet')}",
        f"--hostname-override={name}",
        f"--node-ip={address}",
        f"--root-dir={KUBELET_FOLDER}",
        f"--cert-dir={KUBELET_FOLDER}/pki",
    )


def proxy_configuration(files: NodeFiles, name: str, address: str) -> str:
    """A KubeProxyConfiguration. `maxPerCore: 0`: the size of the connection table is the machine's, not the node's."""
    return json.dumps(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "bindAddress": address,
            "hostnameOverride": name,
            "clusterCIDR": POD_RANGE,
            "clientConnection": {"kubeconfig": str(files.kubeconfig("kube-proxy"))},
            "conntrack": {"maxPerCore": 0},
            "healthzBindAddress": f"{address}:{PROXY_HEALTH_PORT}",
            "metricsBindAddress": "127.0.0.1:10249",
        },
        indent=1,
    )


def agent_flags(files: NodeFiles, programs: Path) -> tuple[str, ...]:
    """Cilium's agent: native routing between nodes on one link, NetworkPolicy in eBPF, Services left to kube-proxy.

    Identities are custom resources, so neither the operator nor a key-value store is needed; pods' addresses come from
    the range that the controller-manager gives each node.
    """
    return (
        f"--k8s-kubeconfig-path={files.kubeconfig('cilium-agent')}",
        f"--lib-dir={programs}",
        "--bpf-root=/sys/fs/bpf",
        "--cgroup-root=/run/cilium/cgroupv2",
        "--cni-exclusive=false",
        "--ipam=kubernetes",
        "--identity-allocation-mode=crd",
        "--enable-ipv6=false",
        "--routing-mode=native",
        f"--ipv4-native-routing-cidr={POD_RANGE}",
        "--auto-direct-node-routes",
        "--devices=eth0",
        "--kube-proxy-replacement=false",
        # The agent would need ipset for it; see `network.node_commands`.
        "--enable-ipv4-masquerade=false",
        "--enable-l7-proxy=false",
        "--enable-health-checking=false",
        "--enable-endpoint-health-checking=false",
        "--enable-hubble",
        "--hubble-disable-tls",
        "--monitor-aggregation=none",
    )
