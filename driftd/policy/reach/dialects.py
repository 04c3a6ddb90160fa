"""The dialects: how an implementation answers what the Kubernetes API leaves open, and three-valued answers."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Dialect(StrEnum):
    """Whose reading a verdict holds for (D12). `kubernetes` is the API's text alone: open questions stay open."""

    KUBERNETES = "kubernetes"
    CALICO = "calico"
    CILIUM = "cilium"

    @property
    def reading(self) -> "Reading":
        return _READINGS[self]


class Answer(IntEnum):
    """No, perhaps, yes: ordered, so that `min` is a conjunction and `max` a disjunction."""

    NO = 0
    MAYBE = 1
    YES = 2


@dataclass(frozen=True, slots=True)
class Reading:
    """A dialect's answers.

    * `pod_in_block`: does an ipBlock or CIDR match a pod by its address?
    * `host_pod_selected`: does a pod selector, of a policy or of a rule, match a pod in the host's network?
    * `host_pod_in_block`: does a CIDR with the node's address match it?
    * `node_in_block`: does a CIDR match an address where nodes are? (Cilium gives nodes an identity, which CIDRs miss.)
    * `virtual_in_block`: does an ipBlock or CIDR match a Service's virtual address? (NO: it is replaced before policies
      are asked, so they see what stands behind the Service.)
    * `port_ranges`: does `endPort` count? (Whoever ignores it allows the first port alone: cilium/cilium #28684.)
    * `own_pod`: does a pod always reach itself, whatever policies say? (Never asked of what goes through a Service.)
    * `own_node`: may a pod always open connections to its own node? (From it, every dialect lets them in.)
    * `undefined_protocols`: is traffic other than TCP, UDP, SCTP to an isolated pod left open by NetworkPolicy?
    * `repeated_port_name`: if containers of a pod give one name to several ports, does the name mean all of them?
    * `calico_kinds`, `admin_kinds`: are Calico's own, and the admin policy kinds enforced?
    """

    pod_in_block: Answer
    host_pod_selected: Answer
    host_pod_in_block: Answer
    node_in_block: Answer
    virtual_in_block: Answer
    port_ranges: Answer
    own_pod: Answer
    own_node: Answer
    undefined_protocols: bool
    repeated_port_name: Answer
    calico_kinds: Answer
    admin_kinds: Answer


_READINGS = {
    Dialect.KUBERNETES: Reading(
        pod_in_block=Answer.MAYBE,
        host_pod_selected=Answer.MAYBE,
        host_pod_in_block=Answer.MAYBE,
        node_in_block=Answer.YES,
        virtual_in_block=Answer.MAYBE,
        port_ranges=Answer.MAYBE,
        own_pod=Answer.YES,
        own_node=Answer.YES,
        undefined_protocols=True,
        repeated_port_name=Answer.MAYBE,
        calico_kinds=Answer.MAYBE,
        admin_kinds=Answer.YES,
    ),
    Dialect.CALICO: Reading(
        pod_in_block=Answer.YES,
        host_pod_selected=Answer.NO,
        host_pod_in_block=Answer.YES,
        node_in_block=Answer.YES,
        virtual_in_block=Answer.NO,
        port_ranges=Answer.YES,
        own_pod=Answer.YES,
        own_node=Answer.NO,
        undefined_protocols=False,
        repeated_port_name=Answer.YES,
        calico_kinds=Answer.YES,
        admin_kinds=Answer.YES,
    ),
    Dialect.CILIUM: Reading(
        pod_in_block=Answer.NO,
        host_pod_selected=Answer.NO,
        host_pod_in_block=Answer.NO,
        node_in_block=Answer.MAYBE,
        virtual_in_block=Answer.MAYBE,
        port_ranges=Answer.MAYBE,
        own_pod=Answer.MAYBE,
        own_node=Answer.NO,
        undefined_protocols=False,
        repeated_port_name=Answer.MAYBE,
        calico_kinds=Answer.NO,
        admin_kinds=Answer.MAYBE,
    ),
}
