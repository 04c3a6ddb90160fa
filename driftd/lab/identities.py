"""Who is who in one lab: the identities of its parts, and the two clients the lab uses itself."""

import ipaddress
from dataclasses import dataclass

from driftd.lab.admin import Admin
from driftd.lab.authority import Authority, Identity, open_token_key, write_key_pair
from driftd.lab.flags import SERVER_NAMES, Keys
from driftd.lab.kubeconfig import Access
from driftd.lab.layout import Layout
from driftd.lab.options import LabOptions

ADMINISTRATOR = "admin"
ADMINISTRATORS = "system:masters"
CONTROLLER_MANAGER_USER = "system:kube-controller-manager"


@dataclass(frozen=True, slots=True)
class Identities:
    """The authority, the files it made, and clients with administrator's rights on the API and on etcd."""

    name: str
    authority: Authority
    keys: Keys
    administrator: Identity
    api: Admin
    etcd: Admin

    def access(self, server: str) -> Access:
        """How to reach and know one API server of this lab."""
        return Access(self.name, server, self.authority.certificate)


def issue(layout: Layout, name: str, options: LabOptions, addresses: tuple[str, ...] = ()) -> Identities:
    """Sign everything the parts need. A resumed lab keeps its authority and token key; the rest is signed anew.

    `addresses` are those the API server has besides loopback.

    The API server and etcd trust the same root, so everybody with a certificate of this lab may read its etcd:
    fit for a throw-away control plane that only its owner's files open, and for nothing else.
    """
    # Pods know the server by the first address of the Services' range.
    names = (*SERVER_NAMES, str(ipaddress.ip_network(options.service_range)[1]), *addresses)
    authority = Authority.open(layout.pki, f"driftd-lab-{name}")
    administrator = authority.client(ADMINISTRATOR, (ADMINISTRATORS,))
    admin_files = write_key_pair(layout.pki, "admin", administrator)
    etcd_client = write_key_pair(layout.pki, "etcd-client", authority.client("kube-apiserver-etcd-client"))
    keys = Keys(
        root=layout.pki / "ca.crt",
        root_key=layout.pki / "ca.key",
        tokens=open_token_key(layout.pki),
        etcd=write_key_pair(layout.pki, "etcd", authority.server("etcd", SERVER_NAMES)),
        etcd_client=etcd_client,
        serving=write_key_pair(layout.pki, "serving", authority.server("kube-apiserver", names)),
        kubelet_client=write_key_pair(
            layout.pki, "kubelet-client", authority.client("kube-apiserver-kubelet-client", (ADMINISTRATORS,))
        ),
    )
    seconds = options.deadlines.request
    return Identities(
        name, authority, keys, administrator, Admin(keys, admin_files, seconds), Admin(keys, etcd_client, seconds)
    )
