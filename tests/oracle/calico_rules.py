"""Whether one Calico rule matches a connection: every field that is given must match, negative ones beside positive."""

from collections.abc import Iterable
from functools import partial

from tests.oracle.admin_policies import Case
from tests.oracle.bodies import (
    Body,
    Cluster,
    address_of,
    container_ports,
    is_virtual,
    labels_of,
    listed,
    name_of,
    namespace_of,
    on_host_network,
)
from tests.oracle.calico_endpoints import Labels, covered, within
from tests.oracle.calico_selectors import matches
from tests.oracle.networkpolicy import Connection, Party
from tests.oracle.selectors import NotAcceptedError

NUMBERED = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPV6", 132: "SCTP", 136: "UDPLITE"}
SERVICE_LABEL = "kubernetes.io/service-name"


def rule_matches(case: Case, policy: Body, place: tuple[str, int], rule: Body, connection: Connection) -> bool:
    """The protocol's fields, and both sides. Ingress and egress rules alike may speak of both sides."""
    question = (policy["kind"], policy["metadata"].get("namespace"), policy["metadata"]["name"], place)
    return (
        _protocol_matches(rule, connection.protocol)
        and _version_matches(case, question, rule, connection)
        and _side_matches(case, (*question, "source"), policy, rule.get("source") or {}, connection)
        and _side_matches(case, (*question, "destination"), policy, rule.get("destination") or {}, connection)
        and _messages_match(rule, connection)
        and _request_matches(case, question, rule)
    )


def _protocol_matches(rule: Body, protocol: str) -> bool:
    wanted, unwanted = rule.get("protocol"), rule.get("notProtocol")
    if wanted is not None and protocol_name(wanted) != protocol.upper():
        return False
    return unwanted is None or protocol_name(unwanted) != protocol.upper()


def protocol_name(value: int | str) -> str:
    """Protocols go by name or number."""
    if isinstance(value, int) or value.isdigit():
        return NUMBERED.get(int(value), str(value))
    return value.upper()


def _version_matches(case: Case, question: object, rule: Body, connection: Connection) -> bool:
    """ipVersion: only connections of that family. Of a pod without an address the family is not known."""
    version = rule.get("ipVersion")
    if version is None:
        return True
    known = {party.address.version for party in (connection.source, connection.target) if party.address is not None}
    if not known:
        return case.choices.pick((question, "ipVersion"), (False, True))
    return known == {version}


def _messages_match(rule: Body, connection: Connection) -> bool:
    """ICMP types and codes; a connection's port stands for both, 256 * type + code. No code given: any code."""
    wanted, unwanted = rule.get("icmp"), rule.get("notICMP")
    if (wanted or unwanted) and not rule.get("protocol"):
        raise NotAcceptedError("ICMP types without the protocol")
    if connection.protocol.upper() not in ("ICMP", "ICMPV6"):
        return True
    return (not wanted or _is_message(wanted, connection.port)) and not (
        unwanted and _is_message(unwanted, connection.port)
    )


def _is_message(given: Body, message: int) -> bool:
    kind, code = divmod(message, 256)
    return given.get("type") in (None, kind) and given.get("code") in (None, code)


def _request_matches(case: Case, question: object, rule: Body) -> bool:
    """What a connection in this model does not tell: the HTTP request (seen by a proxy, if at all)."""
    return not rule.get("http") or case.choices.pick((question, "http"), (False, True))


def _side_matches(case: Case, question: tuple[object, ...], policy: Body, entity: Body, connection: Connection) -> bool:
    """One side (source or destination) of a rule; nothing said is anything."""
    side = str(question[-1])
    if entity.get("services") and any(value for field, value in entity.items() if field != "services"):
        raise NotAcceptedError("services beside another field")
    party = connection.source if side == "source" else connection.target
    return (
        _selectors_match(case.cluster, policy, entity, party)
        and _nets_match(case.cluster, entity, party)
        and _services_match(case.cluster, policy, entity, side, connection)
        and _ports_match(case, question, entity, connection)
    )


def _selectors_match(cluster: Cluster, policy: Body, entity: Body, party: Party) -> bool:
    selector, excluded = str(entity.get("selector") or ""), str(entity.get("notSelector") or "")
    spaces = str(entity.get("namespaceSelector") or "")
    accounts = entity.get("serviceAccounts") or {}
    account_names, account_selector = listed(accounts.get("names")), str(accounts.get("selector") or "")
    by_label = bool(selector or account_names or account_selector)
    # In a namespaced policy, saying anything about whom (notSelector too) means: in the policy's own namespace, unless
    # a namespaceSelector says where. Without such a word there is no limit.
    own = namespace_of(policy) if policy["kind"] == "NetworkPolicy" and not spaces else ""
    limited = bool(spaces) or bool(own and (by_label or excluded))

    def selected(labels: Labels) -> bool:
        return (
            (not spaces or matches(spaces, labels, prefix="pcns.", over_namespaces=True))
            and (not (own and limited) or labels.get("projectcalico.org/namespace") == own)
            and (not selector or matches(selector, labels))
            and (not account_names or labels.get("projectcalico.org/serviceaccount") in account_names)
            and (not account_selector or matches(account_selector, labels, prefix="pcsa."))
        )

    # A positive selector only covers what Calico knows; one that is negated covers everybody else, the internet too.
    if (by_label or limited) and not covered(cluster, party, selected):
        return False
    return not excluded or not covered(cluster, party, partial(matches, excluded))


def _nets_match(cluster: Cluster, entity: Body, party: Party) -> bool:
    wanted, unwanted = listed(entity.get("nets")), listed(entity.get("notNets"))
    if wanted and not _in_any(cluster, party, wanted):
        return False
    return not _in_any(cluster, party, unwanted)


def _in_any(cluster: Cluster, party: Party, nets: Iterable[str]) -> bool:
    # A Service's address has been translated before rules are asked, so none of them ever sees it.
    if party.address is None or is_virtual(cluster, party.address):
        return False
    return any(within(party.address, str(net)) for net in nets)


def _services_match(cluster: Cluster, policy: Body, entity: Body, side: str, connection: Connection) -> bool:
    """A service stands for the addresses of its endpoint slices; as a destination, together with their ports."""
    service = entity.get("services")
    if not service:
        return True
    space = service.get("namespace") or namespace_of(policy)
    party = connection.source if side == "source" else connection.target
    slices = [
        one
        for one in cluster.others
        if one.get("kind") == "EndpointSlice"
        and namespace_of(one) == space
        and labels_of(one).get(SERVICE_LABEL) == service["name"]
    ]
    if not slices:
        return _selected_by_service(cluster, (space, service["name"]), side, connection)
    for endpoint_slice in slices:
        addresses = {address_of(ip) for one in listed(endpoint_slice.get("endpoints")) for ip in one["addresses"]}
        if party.address not in addresses:
            continue
        if side == "source":
            return True
        ports = {(one.get("protocol") or "TCP", one.get("port")) for one in listed(endpoint_slice.get("ports"))}
        if (connection.protocol, connection.port) in ports:
            return True
    return False


def _selected_by_service(cluster: Cluster, name: tuple[str, str], side: str, connection: Connection) -> bool:
    """Where nobody has written slices yet, as in manifests: the pods that the Service selects, on its target ports."""
    party = connection.source if side == "source" else connection.target
    for service in cluster.others:
        if service.get("kind") != "Service" or (namespace_of(service), name_of(service)) != name:
            continue
        wanted = (service.get("spec") or {}).get("selector")
        pod = party.who
        if not wanted or not isinstance(pod, dict) or on_host_network(pod) or namespace_of(pod) != name[0]:
            continue
        if not wanted.items() <= labels_of(pod).items():
            continue
        if side == "source":
            return True
        ports = [
            (str(one.get("targetPort") or one["port"]), one.get("protocol") or "TCP")
            for one in listed(service["spec"].get("ports"))
        ]
        named = {(name, protocol) for name, protocol, number in container_ports(pod) if number == connection.port}
        if any(
            protocol == connection.protocol and (target == str(connection.port) or (target, protocol) in named)
            for target, protocol in ports
        ):
            return True
    return False


def _ports_match(case: Case, question: tuple[object, ...], entity: Body, connection: Connection) -> bool:
    """Ports in the list (if there is one) and not in the other. Source ports are not part of a connection here."""
    wanted, unwanted = listed(entity.get("ports")), listed(entity.get("notPorts"))
    if question[-1] == "source":
        return not (wanted or unwanted) or case.choices.pick((question, "source port"), (False, True))
    if wanted and not any(_port_matches(entry, connection) for entry in wanted):
        return False
    return not any(_port_matches(entry, connection) for entry in unwanted)


def _port_matches(entry: int | str, connection: Connection) -> bool:
    """A number, a range "first:last" with both ends, or a name on the destination pod with the same protocol."""
    text = str(entry)
    if text.isdigit():
        return connection.port == int(text)
    first, colon, last = text.partition(":")
    if colon and first.isdigit() and last.isdigit():
        return int(first) <= connection.port <= int(last)
    target = connection.target.who
    if not isinstance(target, dict) or on_host_network(target):
        return False
    return (text, connection.protocol, connection.port) in container_ports(target)
