"""Random objects that only tiers know: Calico's policies, sets and services, and the admin policy kinds."""

from typing import Any

from tests.campaign.search.pods import (
    ACCOUNTS,
    BLOCKS,
    KEYS,
    NAMESPACES,
    NUMBERS,
    PORT_NAMES,
    VALUES,
    Dice,
)
from tests.oracle.bodies import Body

V3, STORED = "projectcalico.org/v3", "crd.projectcalico.org/v1"
TIERS = ("default", "default", "platform", "kube-admin", "kube-baseline")
ORDERS = (None, 10, 10.5, 1000, 1000.0, 2000)
INHERITED = (
    "projectcalico.org/namespace == 'a'",
    "projectcalico.org/serviceaccount == 'api'",
    "projectcalico.org/orchestrator == 'k8s'",
    "pcns.app == 'x'",
    "pcsa.app == 'x'",
)


class TieredDice(Dice):
    """Draws what stands in tiers as well."""

    # -- Calico ----------------------------------------------------------------------------------------------------

    def expression(self, keys: tuple[str, ...] = (*KEYS, "kind"), depth: int = 2) -> str:
        """A Calico selector of every operator."""
        if depth and self.chance(0.25):
            left, right = self.expression(keys, depth - 1), self.expression(keys, depth - 1)
            joint = self.pick((" && ", "||", " || "))
            return f"({left}){joint}{right}" if self.chance(0.5) else f"{left}{joint}({right})"
        key, value = self.pick(keys), self.pick((*VALUES, "a"))
        return str(
            self.pick(
                (
                    "all()",
                    f"{key} == '{value}'",
                    f"{key} == '{value}'",
                    f"{key} != '{value}'",
                    f'{key}=="{value}"',
                    f"has({key})",
                    f"!has({key})",
                    f"!! has({key})",
                    f"{key} in {{'x', '{value}'}}",
                    f"{key} not in {{'{value}'}}",
                    f"{key} contains '{value}'",
                    f"{key} starts with '{value}'",
                    f"{key} ends with ''",
                    f"!({key} == '{value}')",
                )
            )
        )

    def space_expression(self, *, in_rules: bool) -> str:
        plain = ["all()", "projectcalico.org/name == 'a'", "kubernetes.io/metadata.name in {'a', 'b'}", "tier != 'x'"]
        if in_rules:
            plain.append("global()")
        return self.expression(KEYS, 0) if self.chance(0.3) else str(self.pick(plain))

    def entity(self, *, numbers: bool, services: bool) -> Body:
        """Source or destination of a rule: none, one or several of its fields."""
        if services and self.chance(0.12):
            return {"services": {"name": "svc", "namespace": self.pick(NAMESPACES)}}
        found: Body = {}
        for field in self.some(("selector", "nets", "namespaceSelector", "notSelector", "notNets", "accounts"), 3):
            match field:
                case "selector":
                    found[field] = self.pick(INHERITED) if self.chance(0.2) else self.expression()
                case "notSelector":
                    found[field] = self.expression()
                case "namespaceSelector":
                    found[field] = self.space_expression(in_rules=True)
                case "accounts":
                    named, chosen = {"names": self.some(ACCOUNTS, 2, 1)}, {"selector": self.expression(KEYS, 0)}
                    found["serviceAccounts"] = self.pick((named, named, chosen, {}))
                case _:
                    found[field] = self.some(BLOCKS, 2, 1)
        if numbers:
            for field in self.some(("ports", "notPorts"), 2):
                found[field] = [self._port_text() for _ in range(self.pick((1, 2)))]
        return found

    def _port_text(self) -> int | str:
        found: int | str = self.pick((*NUMBERS, "80:82", "8080:9000", *PORT_NAMES))
        return found

    def calico_rule(self, direction: str) -> Body:
        rule: Body = {"action": self.pick(("Allow", "Allow", "Deny", "Pass", "Log"))}
        protocol = self.pick((None, "TCP", "UDP", "SCTP", 6, "ICMP", "notTCP"))
        if protocol == "notTCP":
            rule["notProtocol"] = "TCP"
        elif protocol is not None:
            rule["protocol"] = protocol
        numbers = protocol in ("TCP", "UDP", "SCTP", 6)
        odd = self.shape.odd
        # A service may only stand at the far end; at the near one the API refuses it.
        if self.chance(0.5):
            source_ports = odd and numbers and self.chance(0.1)
            rule["source"] = self.entity(numbers=source_ports, services=direction == "ingress")
        if self.chance(0.5):
            rule["destination"] = self.entity(numbers=numbers, services=direction == "egress")
        if self.chance(0.1):
            rule["ipVersion"] = self.pick((4, 6))
        if odd and rule["action"] == "Allow" and protocol == "TCP" and self.chance(0.1):
            rule["http"] = {"methods": ["GET"]}
        if protocol == "ICMP" and self.chance(0.5):
            rule[self.pick(("icmp", "notICMP"))] = self.pick(({"type": 8}, {"type": 8, "code": 0}, {"type": 3}))
        return rule

    def calico_policy(self) -> Body:
        """A NetworkPolicy or GlobalNetworkPolicy of Calico, as its API serves it or as it is stored; rarely staged."""
        kind = self.pick(("NetworkPolicy", "GlobalNetworkPolicy"))
        tier = self.pick((*TIERS, "missing") if self.shape.odd else TIERS)
        spec: Body = {}
        if tier != "default" or self.chance(0.5):
            spec["tier"] = tier
        order = self.pick(ORDERS)
        if order is not None:
            spec["order"] = order
        if self.chance(0.5):
            spec["selector"] = "" if self.chance(0.2) else self.expression()
        if kind == "GlobalNetworkPolicy" and self.chance(0.3):
            spec["namespaceSelector"] = self.space_expression(in_rules=False)
        if self.chance(0.15):
            spec["serviceAccountSelector"] = self.expression(KEYS, 0)
        types = self.pick((None, ["Ingress"], ["Egress"], ["Ingress", "Egress"]))
        if types:
            spec["types"] = types
        for direction in ("ingress", "egress"):
            if self.chance(0.6):
                spec[direction] = [self.calico_rule(direction) for _ in range(self.random.randint(0, 3))]
        metadata = {"name": self.pick(("p", "q", "p-q", "default.p"))}
        if kind == "NetworkPolicy":
            metadata["namespace"] = self.pick(NAMESPACES)
        version = self.pick((V3, STORED))
        staged = "Staged" if self.chance(0.06) else ""
        return {"apiVersion": version, "kind": f"{staged}{kind}", "metadata": metadata, "spec": spec}

    # -- the admin kinds -------------------------------------------------------------------------------------------

    def admin_policy(self) -> Body:
        """A ClusterNetworkPolicy; odd ones have peers that are experimental or unknown."""
        spec: Body = {
            "tier": self.pick(("Admin", "Baseline")),
            "priority": self.pick((0, 5, 10, 1000)),
            "subject": self._admin_peer(odd=False),
        }
        for direction, side in (("ingress", "from"), ("egress", "to")):
            if self.chance(0.7):
                spec[direction] = [self._admin_rule(side) for _ in range(self.random.randint(0, 3))]
        return {
            "apiVersion": "policy.networking.k8s.io/v1alpha2",
            "kind": "ClusterNetworkPolicy",
            "metadata": {"name": self.pick(("p", "q", "p-q"))},
            "spec": spec,
        }

    def _admin_rule(self, side: str) -> Body:
        rule: Body = {"action": self.pick(("Accept", "Deny", "Pass")), side: []}
        for _ in range(self.pick((1, 2))):
            networks = side == "to" and self.chance(0.4)
            peer = {"networks": self.some(BLOCKS, 2, 1)} if networks else self._admin_peer(odd=self.shape.odd)
            rule[side].append(peer)
        if self.chance(0.5):
            rule["protocols"] = [self._admin_protocol() for _ in range(self.pick((1, 2)))]
        return rule

    def _admin_peer(self, *, odd: bool) -> Body:
        if odd and self.chance(0.06):
            return {"galaxies": {}}
        if self.chance(0.5):
            return {"namespaces": self.selector()}
        return {"pods": {"namespaceSelector": self.selector(), "podSelector": self.selector()}}

    def _admin_protocol(self) -> Body:
        first = self.pick(NUMBERS)
        port = self.pick(({"number": first}, {"range": {"start": first, "end": first + 2}}))
        return {self.pick(("tcp", "udp", "sctp")): {"destinationPort": port}}

    # -- what rules refer to ---------------------------------------------------------------------------------------

    def others(self) -> list[Body]:
        """A tier, network sets, service accounts and an endpoint slice, some of them; rarely a host endpoint."""
        found = [self.tier()] if self.chance(0.6) or not self.shape.odd else []
        found += [self.network_set() for _ in range(self.pick((0, 1, 2)))]
        found += [self.account() for _ in range(self.pick((0, 1, 2)))]
        found += [self.slice()] if self.chance(0.5) else []
        found += [self.host_endpoint()] if self.shape.odd and self.chance(0.2) else []
        return found

    def tier(self) -> Body:
        spec: Body = {"order": self.pick((100, None, 5_000_000))}
        action = self.pick((None, "Deny", "Pass"))
        if action:
            spec["defaultAction"] = action
        return {"apiVersion": V3, "kind": "Tier", "metadata": {"name": "platform"}, "spec": spec}

    def network_set(self) -> Body:
        metadata: Body = {"name": self.pick(("s", "t")), "labels": {"kind": self.pick(VALUES)}}
        kind = self.pick(("GlobalNetworkSet", "NetworkSet"))
        if kind == "NetworkSet":
            metadata["namespace"] = self.pick(NAMESPACES)
        nets = self.some([cidr for cidr in (*BLOCKS, "203.0.113.7") if cidr != "0.0.0.0/0"], 2)
        return {"apiVersion": V3, "kind": kind, "metadata": metadata, "spec": {"nets": nets}}

    def account(self) -> Body:
        metadata: Any = {"name": self.pick(ACCOUNTS), "namespace": self.pick(NAMESPACES), "labels": self.labels()}
        return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}

    def host_endpoint(self) -> Body:
        metadata = {"name": self.pick(("node", "node-auto-hep"))}
        return {"apiVersion": V3, "kind": "HostEndpoint", "metadata": metadata, "spec": {"interfaceName": "*"}}

    def slice(self) -> Body:
        ips = self.some(("10.244.0.1", "10.244.1.2", "203.0.113.7"), 2)
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "addressType": "IPv4",
            "metadata": {
                "name": "svc-1",
                "namespace": self.pick(NAMESPACES),
                "labels": {"kubernetes.io/service-name": "svc"},
            },
            "endpoints": [{"addresses": [ip]} for ip in ips],
            "ports": [{"protocol": "TCP", "port": self.pick(NUMBERS)}],
        }
