"""Kind Cluster: what every tenant shares, what is never theirs, and how far driftd may go."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from driftd.model.schema.names import Cidr, DnsLabel, HostCidr, KindName, PortNumber, RemediationMode, Subdomain
from driftd.model.schema.parts import Document, Labels, Part


class CalicoTier(Part):
    """The platform's own tier: evaluated before anything that a tenant may write."""

    name: DnsLabel = Field(default="driftd", description="Name of the tier.")
    order: int = Field(default=100, ge=1, le=1_000_000, description="Order of the tier; lower is earlier.")


class Cni(Part):
    """Which reading of NetworkPolicy holds in this cluster where Kubernetes leaves the meaning open."""

    dialect: Literal["kubernetes", "calico", "cilium"] = Field(
        default="kubernetes", description="`kubernetes` says only what every implementation must do."
    )
    calico: CalicoTier = Field(default_factory=CalicoTier, description="Read when the dialect is `calico`.")


class Ranges(Part):
    """The cluster's own addresses: cut out of what counts as public internet."""

    pods: tuple[Cidr, ...] = Field(min_length=1, description="Pod networks.")
    services: tuple[Cidr, ...] = Field(min_length=1, description="Service networks.")
    nodes: tuple[Cidr, ...] = Field(min_length=1, description="Node networks.")
    api_server: tuple[Cidr, ...] = Field(
        default=(),
        description="The API server as pods reach it: its virtual address and what stands behind it. "
        "Needed as soon as a service says `apiServer: true`.",
    )
    api_server_ports: tuple[PortNumber, ...] = Field(
        default=(443, 6443), min_length=1, description="TCP ports of the API server, in front and behind."
    )

    @property
    def all(self) -> tuple[str, ...]:
        """Every range of the cluster, in the order of the fields."""
        return (*self.pods, *self.services, *self.nodes, *self.api_server)


class Dns(Part):
    """The name service that tenants may ask, over UDP and TCP."""

    namespace: DnsLabel = Field(description="Namespace of the name service's pods.")
    labels: Labels
    port: PortNumber = Field(default=53, description="Port on the pods, numeric: the one they listen on.")
    node_local_ip: HostCidr | None = Field(
        default=None, alias="nodeLocalIP", description="Address of a node-local cache, such as 169.254.20.10."
    )


class Gateway(Part):
    """The one way in: from outside their environment, exposed services are reachable from these pods only."""

    namespace: DnsLabel = Field(description="Namespace of the gateway's pods.")
    labels: Labels
    service_account: Subdomain = Field(default="default", description="Identity of the gateway in a mesh.")


class Mesh(Part):
    """The service mesh, if there is one."""

    kind: Literal["istio", "linkerd", "none"] = Field(default="none", description="Which mesh.")
    trust_domain: Subdomain = Field(
        default="cluster.local", description="Trust domain of the workloads' identities. Not used yet."
    )
    root_namespace: DnsLabel | None = Field(
        default=None, description="Namespace of the mesh's own policies. Unset: `istio-system` or `linkerd`."
    )
    root_policies: Literal["read", "own"] = Field(
        default="read",
        description="`own` is to let driftd write the named mesh-wide policies. Not used yet: they are neither "
        "written nor judged.",
    )

    @property
    def root(self) -> str:
        """The mesh's namespace with the default filled in; empty without a mesh."""
        return self.root_namespace or {"istio": "istio-system", "linkerd": "linkerd", "none": ""}[self.kind]


class FalcoInstall(Part):
    """How Falco came into the cluster: decides the form in which its rules are delivered."""

    install: Literal["helm", "operator", "none"] = Field(
        default="none", description="How Falco is installed. Its rules are not delivered yet."
    )
    namespace: DnsLabel = Field(default="falco", description="Namespace of Falco.")


class MassChange(Part):
    """How much one new model may delete or loosen before a person has to approve it. Creating never counts."""

    objects: int = Field(default=50, ge=0, description="Deletions and loosenings allowed in one step.")
    percent: int = Field(default=10, ge=0, le=100, description="The same as a share of the canonical objects.")


class ClusterRemediation(Part):
    """Repair for the whole cluster: off until somebody writes `enforce`."""

    mode: RemediationMode = Field(default="report", description="`report` only tells; `enforce` repairs.")
    kinds: Mapping[KindName, RemediationMode] = Field(
        default_factory=dict, description="Mode of single kinds, such as `Namespace: report`. `report` beats `enforce`."
    )
    mass_change: MassChange = Field(
        default_factory=MassChange, description="When a new model must be approved by a person."
    )


class Probes(Part):
    """How often packets are sent to prove what the objects promise."""

    every_minutes: int = Field(
        default=60, ge=1, le=1440, description="Minutes between two rounds. Not used yet: nothing is probed."
    )


class ClusterSpec(Part):
    """What every tenant shares."""

    cni: Cni = Field(default_factory=Cni, description="The network layer.")
    ranges: Ranges = Field(description="The cluster's own addresses.")
    deny_cidrs: tuple[Cidr, ...] = Field(
        default=(), alias="denyCIDRs", description='Further networks that no tenant may reach as "public internet".'
    )
    dns: Dns = Field(description="The name service.")
    gateway: Gateway = Field(description="The way in.")
    mesh: Mesh = Field(default_factory=Mesh, description="The service mesh.")
    falco: FalcoInstall = Field(default_factory=FalcoInstall, description="Runtime detection.")
    platform_namespaces: tuple[DnsLabel, ...] = Field(
        default=(), description="Namespaces that belong to the platform: never written, never governed."
    )
    remediation: ClusterRemediation = Field(default_factory=ClusterRemediation, description="How far driftd may go.")
    probes: Probes = Field(default_factory=Probes, description="Active checks. Not used yet.")


class Cluster(Document):
    """The cluster itself: exactly one in a model."""

    kind: Literal["Cluster"]
    spec: ClusterSpec = Field(description="What every tenant shares.")
