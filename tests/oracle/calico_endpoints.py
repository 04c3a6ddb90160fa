"""What Calico knows by label: pods with what they inherit, and network sets; and whom a selector covers by address."""

from collections.abc import Callable, Iterator, Mapping

from tests.oracle.bodies import (
    NAMESPACE_NAME,
    Address,
    Body,
    Cluster,
    labels_of,
    listed,
    name_of,
    namespace_of,
    network_of,
    on_host_network,
    service_account_of,
)
from tests.oracle.networkpolicy import Party

API_GROUPS = ("projectcalico.org/v3", "crd.projectcalico.org/v1")
Labels = Mapping[str, str]


def labels_of_pod(cluster: Cluster, pod: Body) -> Labels:
    """A pod's labels, Calico's own, and those of its namespace (pcns.) and service account (pcsa.)."""
    account = service_account_of(pod)
    return {
        **labels_of(pod),
        "projectcalico.org/namespace": namespace_of(pod),
        "projectcalico.org/orchestrator": "k8s",
        "projectcalico.org/serviceaccount": account,
        **_inherited_from_namespace(cluster, namespace_of(pod)),
        **_inherited_from_account(cluster, namespace_of(pod), account),
    }


def covered(cluster: Cluster, party: Party, selected: Callable[[Labels], bool]) -> bool:
    """Whether a party is among the endpoints and network sets that a selector picks.

    Membership is by address: an address inside a network set is covered through the set, pod or not.
    """
    if isinstance(party.who, dict) and not on_host_network(party.who) and selected(labels_of_pod(cluster, party.who)):
        return True
    return party.address is not None and any(
        selected(labels) for labels, nets in network_sets(cluster) if any(within(party.address, net) for net in nets)
    )


def network_sets(cluster: Cluster) -> Iterator[tuple[Labels, list[str]]]:
    """(labels, nets) of each NetworkSet and GlobalNetworkSet; the former inherit their namespace's labels."""
    for body in cluster.others:
        if body.get("apiVersion") not in API_GROUPS:
            continue
        nets = [str(net) for net in listed((body.get("spec") or {}).get("nets"))]
        if body.get("kind") == "GlobalNetworkSet":
            yield labels_of(body), nets
        elif body.get("kind") == "NetworkSet":
            space = namespace_of(body)
            own = {**labels_of(body), "projectcalico.org/namespace": space}
            yield {**own, **_inherited_from_namespace(cluster, space)}, nets


def within(address: Address, net: str) -> bool:
    """Whether an address lies in a CIDR, or is that address; families do not mix."""
    network = network_of(net)
    return address.version == network.version and address in network


def _inherited_from_namespace(cluster: Cluster, name: str) -> Labels:
    labels: dict[str, str] = {NAMESPACE_NAME: name, "projectcalico.org/name": name}
    for namespace in cluster.namespaces:
        if name_of(namespace) == name:
            labels = {**labels_of(namespace), **labels}
    return {f"pcns.{key}": value for key, value in labels.items()}


def _inherited_from_account(cluster: Cluster, namespace: str, name: str) -> Labels:
    labels: dict[str, str] = {"projectcalico.org/name": name}
    for account in cluster.others:
        if account.get("kind") == "ServiceAccount" and (namespace_of(account), name_of(account)) == (namespace, name):
            labels = {**labels_of(account), **labels}
    return {f"pcsa.{key}": value for key, value in labels.items()}
