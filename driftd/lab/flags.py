"""The command line of each part. Pure: paths and ports in, flags out."""

from dataclasses import dataclass
from pathlib import Path

from driftd.lab.authority import KeyPairFiles
from driftd.lab.options import LabOptions

LOOPBACK = "127.0.0.1"
TOKEN_ISSUER = "https://kubernetes.default.svc.cluster.local"  # noqa: S105  # an address, not a secret
SERVER_NAMES = (
    "localhost",
    LOOPBACK,
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)

# Controllers that need clouds, disks or metrics have nothing to do here.
_CONTROLLERS = (
    "*",
    "-node-route-controller",
    "-service-lb-controller",
    "-cloud-node-lifecycle-controller",
    "-horizontal-pod-autoscaler-controller",
    "-persistentvolume-attach-detach-controller",
    "-persistentvolume-expander-controller",
    "-ephemeral-volume-controller",
    "-legacy-serviceaccount-token-cleaner-controller",
    "-bootstrap-signer-controller",
    "-token-cleaner-controller",
)
# And these only where pods run: addresses for nodes, claims bound to volumes that somebody made.
_NODE_CONTROLLERS = (
    "-node-ipam-controller",
    "-persistentvolume-binder-controller",
    "-persistentvolume-protection-controller",
    "-persistentvolumeclaim-protection-controller",
)


@dataclass(frozen=True, slots=True)
class Keys:
    """The files of the lab's identities that the parts are started with."""

    root: Path
    root_key: Path
    tokens: KeyPairFiles
    etcd: KeyPairFiles
    etcd_client: KeyPairFiles
    serving: KeyPairFiles
    """Serves the API and the controller-manager's health."""
    kubelet_client: KeyPairFiles
    """The API server as its nodes know it, for `logs` and `exec`."""


def etcd_flags(keys: Keys, data: Path, client_port: int, peer_port: int, options: LabOptions) -> tuple[str, ...]:
    """One member, mutual TLS on both ports. Data is not synced to disk: it is thrown away with the lab."""
    client, peer = f"https://{LOOPBACK}:{client_port}", f"https://{LOOPBACK}:{peer_port}"
    return (
        "--name=lab",
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=lab={peer}",
        f"--cert-file={keys.etcd.certificate}",
        f"--key-file={keys.etcd.key}",
        f"--trusted-ca-file={keys.root}",
        "--client-cert-auth=true",
        f"--peer-cert-file={keys.etcd.certificate}",
        f"--peer-key-file={keys.etcd.key}",
        f"--peer-trusted-ca-file={keys.root}",
        "--peer-client-cert-auth=true",
        "--unsafe-no-fsync=true",
        "--log-level=warn",
        *options.etcd_flags,
    )


def apiserver_flags(
    keys: Keys,
    port: int,
    etcd_port: int,
    *,
    audit_policy: Path,
    audit_log: Path,
    options: LabOptions,
    address: str = LOOPBACK,
) -> tuple[str, ...]:
    """Authentication by certificate and service-account token, authorization by Node and RBAC, everything audited.

    `--endpoint-reconciler-type=none`: the endpoints of the `kubernetes` service may not be loopback addresses, so
    without it the server asks for a default route that the machine may lack. With nodes `address` is no loopback: pods
    find the server by that service. The audit log blocks, so that an answered
    request stands in it; it never rotates. Told to end watches itself, the server stops in a second; otherwise it waits
    a minute for the watches of clients that stay.
    """
    return (
        f"--bind-address={address}",
        f"--advertise-address={address}",
        f"--secure-port={port}",
        f"--endpoint-reconciler-type={'none' if address == LOOPBACK else 'lease'}",
        f"--kubelet-certificate-authority={keys.root}",
        f"--kubelet-client-certificate={keys.kubelet_client.certificate}",
        f"--kubelet-client-key={keys.kubelet_client.key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--etcd-servers=https://{LOOPBACK}:{etcd_port}",
        f"--etcd-cafile={keys.root}",
        f"--etcd-certfile={keys.etcd_client.certificate}",
        f"--etcd-keyfile={keys.etcd_client.key}",
        f"--etcd-compaction-interval={options.compaction_interval}",
        f"--client-ca-file={keys.root}",
        f"--tls-cert-file={keys.serving.certificate}",
        f"--tls-private-key-file={keys.serving.key}",
        f"--service-account-issuer={TOKEN_ISSUER}",
        f"--service-account-key-file={keys.tokens.certificate}",
        f"--service-account-signing-key-file={keys.tokens.key}",
        f"--service-cluster-ip-range={options.service_range}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--audit-policy-file={audit_policy}",
        f"--audit-log-path={audit_log}",
        "--audit-log-mode=blocking",
        "--audit-log-maxsize=0",
        "--profiling=false",
        "--shutdown-watch-termination-grace-period=3s",
        *options.apiserver_flags,
    )


def controller_manager_flags(
    keys: Keys, port: int, kubeconfig: Path, options: LabOptions, *, pod_range: str = ""
) -> tuple[str, ...]:
    """Each controller under its own service account, as in a real cluster, so that the audit log tells them apart.

    With a `pod_range`, each node gets a part of it for its pods.
    """
    return (
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        f"--tls-cert-file={keys.serving.certificate}",
        f"--tls-private-key-file={keys.serving.key}",
        f"--client-ca-file={keys.root}",
        f"--root-ca-file={keys.root}",
        f"--service-account-private-key-file={keys.tokens.key}",
        f"--cluster-signing-cert-file={keys.root}",
        f"--cluster-signing-key-file={keys.root_key}",
        f"--service-cluster-ip-range={options.service_range}",
        f"--controllers={','.join(_CONTROLLERS if pod_range else (*_CONTROLLERS, *_NODE_CONTROLLERS))}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--kube-api-qps=300",
        "--kube-api-burst=600",
        "--resource-quota-sync-period=10s",
        "--profiling=false",
        *(("--allocate-node-cidrs", f"--cluster-cidr={pod_range}") if pod_range else ()),
        *options.controller_manager_flags,
    )
