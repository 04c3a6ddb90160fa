"""Random small clusters of plain Kubernetes: few names, labels and ports, so that things meet.

All is drawn from one seeded `random.Random`, so a number gives the same cluster for ever: a hundred thousand of them
are made in seconds. Everything is a valid object as a manifest might have it: defaults left out, lists missing, null,
empty.
"""

from dataclasses import dataclass
from random import Random
from typing import Any

from tests.oracle.bodies import Body

NAMESPACES = ("a", "b", "c")
CROWDED = ("a", "a", "a", "b", "b", "c")
KEYS, VALUES = ("app", "tier"), ("x", "y")
ACCOUNTS = ("default", "api")
PORT_NAMES = ("http", "dns")
NUMBERS = (80, 81, 82, 8080)
PROTOCOLS = ("TCP", "UDP", "SCTP")
BLOCKS = {
    "10.244.0.0/16": ("10.244.1.0/24", "10.244.1.2/31"),
    "10.244.1.0/24": ("10.244.1.2/31", "10.244.1.0/25"),
    "10.244.1.2/31": (),
    "203.0.113.0/24": ("203.0.113.128/25", "203.0.113.7/32"),
    "192.168.0.0/24": ("192.168.0.1/32",),
    "0.0.0.0/0": ("10.0.0.0/8", "10.244.1.2/31", "203.0.113.0/24"),
}
HOST_BITS = ("203.0.113.77/24", "10.244.1.2/24", "203.0.113.200/25")
V6_BLOCKS = {
    "fd00::/64": ("fd00::1:0/112",),
    "fd00::1:0/112": (),
    "2001:db8::/32": (),
    "::/0": ("fd00::/64", "2001:db8::/33"),
}
NODES = {"one": ("192.168.0.1", "fd00:192::1"), "two": ("192.168.0.2", "fd00:192::2")}


@dataclass(frozen=True)
class Shape:
    """What sort of case: its policies, the dialect it is read in, and whether anything in it is left open (`odd`)."""

    kinds: str
    dialect: str
    odd: bool

    def __str__(self) -> str:
        return f"{self.kinds} under {self.dialect}, {'everything odd' if self.odd else 'nothing open'}"


class Dice:
    """Draws from a seeded Random."""

    def __init__(self, random: Random, shape: Shape) -> None:
        self.random = random
        self.shape = shape
        self.families = random.choice(((4,), (4,), (4, 6), (6,))) if shape.odd else (4,)

    def chance(self, of: float) -> bool:
        return self.random.random() < of

    def pick(self, options: Any) -> Any:
        return self.random.choice(options)

    def some(self, options: Any, most: int, least: int = 0) -> list[Any]:
        """Different ones of the options, `least` to `most` of them."""
        options = list(options)
        return self.random.sample(options, min(len(options), self.random.randint(least, most)))

    def listed(self, body: Body, field: str, make: Any, most: int = 2, missing: float = 0.25) -> None:
        """A list: mostly with something in it, else missing, null or empty."""
        if not self.chance(missing):
            body[field] = [make() for _ in range(self.random.randint(1, most))]
        elif self.chance(0.6):
            body[field] = self.pick((None, []))

    # -- plain Kubernetes ------------------------------------------------------------------------------------------

    def labels(self, keys: tuple[str, ...] = KEYS, likely: float = 0.5) -> dict[str, str]:
        return {key: self.pick(VALUES) for key in keys if self.chance(likely)}

    def selector(self) -> Body:
        """A LabelSelector by labels, by expressions of every operator, by both, or of nothing."""
        found: Body = {}
        form = self.pick(("empty", "labels", "labels", "expressions", "expressions", "both"))
        if form in ("labels", "both"):
            found["matchLabels"] = self.labels() or self.pick(({}, None))
        if form in ("expressions", "both"):
            found["matchExpressions"] = [self._requirement() for _ in range(self.random.randint(1, 2))]
        return found

    def _requirement(self) -> Body:
        found: Body = {"key": self.pick(KEYS), "operator": self.pick(("In", "NotIn", "Exists", "DoesNotExist"))}
        if found["operator"] in ("In", "NotIn"):
            found["values"] = self.some(VALUES, 2, 1)
        elif self.chance(0.3):
            found["values"] = self.pick(([], None))
        return found

    def namespace_selector(self) -> Body:
        if self.chance(0.5):
            return {"matchLabels": {"kubernetes.io/metadata.name": self.pick(NAMESPACES)}}
        return self.selector()

    def block(self) -> Body:
        """A block with exceptions inside of it; now and then with host bits set."""
        if self.pick(self.families) == 6:
            cidr = self.pick(list(V6_BLOCKS))
            return {"cidr": cidr, "except": self.some(V6_BLOCKS[cidr], 1)}
        if self.chance(0.2):
            return {"cidr": self.pick(HOST_BITS)}
        found: Body = {"cidr": self.pick(list(BLOCKS))}
        if self.chance(0.6):
            found["except"] = self.some(BLOCKS[found["cidr"]], 2) or self.pick(([], None))
        return found

    def peer(self) -> Body:
        match self.pick(("pod", "namespace", "both", "both", "block", "block")):
            case "pod":
                return {"podSelector": self.selector()}
            case "namespace":
                return {"namespaceSelector": self.namespace_selector()}
            case "both":
                return {"podSelector": self.selector(), "namespaceSelector": self.namespace_selector()}
            case _:
                return {"ipBlock": self.block()}

    def port(self) -> Body:
        """A number, a range, a name or a whole protocol."""
        found: Body = {"protocol": self.pick(PROTOCOLS)} if self.chance(0.6) else {}
        match self.pick(("number", "number", "name", "name", "range", "protocol")):
            case "number":
                found["port"] = self.pick((*NUMBERS, 1, 65535))
            case "name":
                found["port"] = self.pick(PORT_NAMES)
            case "range":
                found["port"] = self.pick(NUMBERS)
                found["endPort"] = found["port"] + self.pick((0, 1, 2, 10000))
        return found

    def rule(self, side: str) -> Body:
        found: Body = {}
        said = self.pick(("peers", "ports", "ports", "both", "both", "neither"))
        if said in ("peers", "both"):
            self.listed(found, side, self.peer, missing=0.15)
        if said in ("ports", "both"):
            self.listed(found, "ports", self.port, missing=0.15)
        return found

    def network_policy(self) -> Body:
        spec: Body = {}
        if self.chance(0.8):
            spec["podSelector"] = self.pick((self.selector(), self.selector(), {}, None))
        types = self.pick((None, None, ["Ingress"], ["Egress"], ["Ingress", "Egress"], ["Egress", "Ingress"], []))
        if types is not None:
            spec["policyTypes"] = types
        self.listed(spec, "ingress", lambda: self.rule("from"))
        self.listed(spec, "egress", lambda: self.rule("to"))
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": self.pick(("p", "q", "r")), "namespace": self.pick(CROWDED)},
            "spec": spec,
        }

    def pod(self, index: int) -> Body:
        """A pod with addresses of its own; odd ones are finished, pending, or on the host's network."""
        odd = self.shape.odd
        on_host = odd and self.chance(0.15)
        node = self.pick(list(NODES))
        hosts = dict(zip((4, 6), NODES[node], strict=True))
        own = {4: f"10.244.{index % 2}.{index + 1}", 6: f"fd00::{index % 2}:{index + 1:x}"}
        phase = self.pick(("Running",) * 14 + ("Succeeded", "Pending")) if odd else "Running"
        ips = [] if phase == "Pending" else [(hosts if on_host else own)[one] for one in self.families]
        spec: Body = {"nodeName": node, "containers": [self._container(), self._container()][: self.pick((1, 1, 2))]}
        if self.chance(0.3):
            spec["initContainers"] = [self._container()]
        if not odd and self.shape.dialect != "calico":
            _unrepeated(spec)
        if on_host:
            spec["hostNetwork"] = True
        if self.chance(0.4):
            spec["serviceAccountName"] = self.pick(ACCOUNTS)
        status: Body = {"phase": phase, "hostIP": hosts[self.families[0]]}
        status["hostIPs"] = [{"ip": hosts[one]} for one in self.families]
        if ips:
            status |= {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}
        metadata = {"name": f"pod-{index}", "namespace": self.pick(CROWDED), "labels": self.labels() or None}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}

    def _container(self) -> Body:
        found: Body = {"name": "main"}
        self.listed(found, "ports", self._container_port)
        return found

    def _container_port(self) -> Body:
        found: Body = {"containerPort": self.pick(NUMBERS)}
        if self.chance(0.8):
            found["name"] = self.pick(PORT_NAMES)
        if self.chance(0.5):
            found["protocol"] = self.pick(PROTOCOLS)
        return found

    def namespace(self, name: str) -> Body:
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": self.labels()}}


def _unrepeated(spec: Body) -> None:
    """Leave each port name of a pod one meaning: whether several count is open in most dialects."""
    seen: dict[tuple[str, str], int] = {}
    for container in (*spec["containers"], *(spec.get("initContainers") or ())):
        for port in container.get("ports") or ():
            if "name" in port:
                key = (port["name"], port.get("protocol") or "TCP")
                port["containerPort"] = seen.setdefault(key, port["containerPort"])
