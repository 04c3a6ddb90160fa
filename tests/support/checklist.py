"""The checklist of policy semantics (facts 1.1, 1.3, 1.4, 1.6), line by line in its own words, and how tests quote it.

A test that holds a clause says so in its docstring, one line a clause: `Checklist 1.1: <the words>`. Clauses that say
nothing about objects, which is all that driftd judges, stand in `WITHOUT_BEHAVIOUR` with the reason.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

TESTS: Final = Path(__file__).parents[1]
QUOTE: Final = re.compile(r"^\s*Checklist (?P<section>1\.\d): (?P<words>.+?)\s*$", re.MULTILINE)


class Quote(NamedTuple):
    """A clause as a test quotes it."""

    section: str
    words: str
    test: str


CHECKLIST: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    # NetworkPolicy
    "1.1": (
        (
            "policyTypes absent/empty: always Ingress; Egress only if there is an egress rule",
            "policyTypes:[Egress], no rules = deny all egress",
            "[Ingress] with an egress: section: egress section has no effect",
            "default desired objects before comparing",
        ),
        (
            "podSelector missing or {} = all pods of the namespace",
            "ingress: []/absent = isolate, allow nothing",
            "ingress: [{}] = allow all",
        ),
        (
            "from/to: absent, null or [] = all peers (not none)",
            "ports: absent/[] = all protocols and ports",
            "Peer {} is invalid",
            "ipBlock + selector is invalid",
        ),
        (
            "podSelector alone = own namespace",
            "namespaceSelector alone = all pods there",
            "both in one element = AND; two elements = OR",
            "namespaceSelector: {} = all namespaces, nil = own",
        ),
        (
            "protocol default TCP",
            "port absent with a protocol = all ports of that protocol only",
            "one evaluator for point queries and sets",
        ),
        (
            "Named port resolves per destination pod, name and protocol",
            "same name may mean different numbers in different pods",
            "several containers may repeat a name; init/sidecar containers count",
            "unresolved = matches nothing",
            "never matches an IP peer",
        ),
        (
            "endPort inclusive",
            "endPort needs numeric port, >= port",
            "Some CNIs ignored endPort",
        ),
        (
            "ipBlock.except subtracts only inside that element; another element may re-allow",
            "CIDR with host bits set: normalise, warn",
            "IPv4 and IPv6 disjoint",
            "dual-stack pods have two addresses",
        ),
        (
            "Isolation is per direction and per pod",
            "allow = union over policies",
            "connection allowed iff src egress AND dst ingress allow",
            "Replies implicit (stateful)",
        ),
        (
            "NotIn and DoesNotExist match pods lacking the key",
            "In/NotIn need values; Exists/DoesNotExist none",
        ),
        (
            "SCTP rule must isolate and must not be read as TCP",
            "Protocols other than TCP/UDP/SCTP (ICMP) are undefined in NPv1",
        ),
        ("kubernetes.io/metadata.name label exists on every live namespace: synthesise",),
        (
            "Pods Succeeded/Failed: no endpoint",
            "include templates for future reachability",
        ),
        ("Labels are inputs: can loosen with no policy edit at all",),
    ),
    # Calico
    "1.3": (
        (
            "tiers by order (nil = +inf) then name",
            "policies in a tier by order (nil = +inf)",
            "then name/namespace/kind: renaming can change semantics",
            "Rules in list order, first match wins, Log falls through",
        ),
        (
            "Pass = next tier; after the last tier = profiles",
            "No rule matched: tier defaultAction (Deny, or Pass)",
            "A tier with no applicable policy in that direction is skipped entirely",
            "adding a policy with zero rules tightens, and removing the last one loosens",
        ),
        (
            "A tier with only Staged* policies contributes nothing, including end-of-tier",
            "StagedAction: Delete previews removal",
            "Changing kind to Staged = removing enforcement",
        ),
        (
            "Built-in tiers: kube-admin, default, kube-baseline",
            "K8s NetworkPolicy sits in default at order 1000",
        ),
        (
            "every pod gets kns.<namespace> (allow all both ways)",
            "then ksa.<ns>.<sa>; no profile = deny",
            "Reached only if no tier applied, or all passed",
            "A hand-made HostEndpoint without policy or profile denies, except failsafe ports",
            "auto-HostEndpoints carry an allow profile",
        ),
        (
            "no egress rules -> [Ingress]; egress only -> [Egress]; both -> both",
            "written straight to crd.projectcalico.org/v1 without types: both",
            "a MutatingAdmissionPolicy does the defaulting, so it can be missing",
        ),
        (
            "namespaced policy: (selector) && projectcalico.org/namespace == ns",
            "selector, notSelector, serviceAccounts restrict the peer to the policy's namespace",
            "unless namespaceSelector is given",
            "with only nets/ports there is no restriction; source/destination omitted = anything",
        ),
        (
            "namespaceSelector: all() = in any namespace; global() = HostEndpoint + GlobalNetworkSet only",
            "global() legal only in rule namespaceSelector",
            "GNP selector: all() also covers HostEndpoints; K8s-derived policies exclude them",
        ),
        ("notSelector X is not selector !X",),
        (
            "All match fields AND, incl. positive+negative of the same field; nets AND selector is legal",
            "NetworkSet/GlobalNetworkSet labels make CIDRs selector-matchable",
        ),
        (
            "Ports: ints, a:b ranges, names",
            "ports need protocol TCP/UDP/SCTP",
            "source ports too",
            "services: matches endpoints and their ports",
            "services forbidden with selectors/nets/serviceAccounts, and with ports on the same destination",
            "ICMP type/code need protocol; notICMP",
            "ipVersion",
            "protocol 1-255 or UDPLite",
            "http only on Allow (L7 proxy; else treat as unknown)",
        ),
        (
            "preDNAT/doNotTrack: HostEndpoint planes only, never mix into pod-to-pod",
            "applyOnForward: HostEndpoint planes only",
            "doNotTrack needs both directions allowed, stateless",
            "pod->own node: DefaultEndpointToHostAction",
        ),
        (
            "|| && ! (!! collapses), parens, == != (!= and not in match missing label)",
            "contains, starts with = startswith, ends with, has(), all()",
            "single or double quotes, no escapes; only space/tab are whitespace",
            "labels [A-Za-z0-9_./-]; empty = all()",
        ),
        (
            "CRD stored default.<name>, API showed <name>; 3.29.0-.3 showed/required default.",
            "a controller renames stored objects",
            "Key identity = name minus default. in tier default",
            "read one API group, never both",
        ),
        (
            "names still carry knp.default.<name> for K8s policies",
            "CNP shows as kind ClusterNetworkPolicy",
        ),
    ),
    # ClusterNetworkPolicy
    "1.4": (
        (
            "Admin tier -> NetworkPolicy -> Baseline -> allow",
            "Priority 0..1000, lower first",
            "equal priority in one tier = undefined order -> evaluate both orders",
            "Max 25 rules/peers",
        ),
        (
            "No implicit isolation; a policy with no ingress rules does not affect ingress",
            "Pass in Admin skips rest of Admin; Pass in Baseline = default allow",
            "NPv1 is final for pods it selects in that direction; Baseline only for pods not selected",
        ),
        (
            "from/to required non-empty (unlike NPv1)",
            "Peers: namespaces, pods, egress networks / nodes(exp.) / domainNames(exp., Accept only)",
            "networks: 0.0.0.0/0 does match pod traffic and ICMP",
            "Subjects/peers exclude hostNetwork pods",
        ),
        ("Unknown peer field -> fail closed: Accept matches nothing, Deny/Pass become deny-all",),
        (
            "pod to own IP exempt",
            "pod to itself through a Service VIP is subject",
        ),
        (
            "Cilium 1.20 behind a flag",
            "OVN-Kubernetes listed only for v1alpha1",
        ),
    ),
    # which way an edit goes
    "1.6": (
        (
            "LOOSENS / TIGHTENS / MIXED / NEUTRAL",
            "NEUTRAL-NOW: empty on live pods, non-empty on hypothetical pods",
        ),
        (
            "deleting an NP: tightens if other policies still isolate the pod",
            "loosens (to everything) if it was the last",
            "adding one can do both at once",
        ),
        (
            "adding Egress to policyTypes",
            "narrowing a podSelector (de-isolates the dropped pods)",
            "Calico order swap",
            "rename on equal order",
            "tier order/defaultAction edit",
            "Pass<->Deny",
            "NetworkSet member edit",
            "Service/EndpointSlice edit behind services",
            "containerPort rename behind a named port",
            "pod/namespace/SA relabel",
            "Enforced<->Staged kind change",
        ),
    ),
}
"""Section -> lines -> clauses."""

WITHOUT_BEHAVIOUR: Final[Mapping[str, str]] = {
    "then ksa.<ns>.<sa>; no profile = deny": (
        "Calico makes both profiles of every pod itself and lets nobody write them on Kubernetes: the first allows "
        "all, so the second is never asked and no pod is without one. A Profile in a dump is named as not evaluated."
    ),
    "doNotTrack needs both directions allowed, stateless": (
        "It is about connections of nodes in Felix's untracked plane, which is not judged: such policies select no pod."
    ),
    "pod->own node: DefaultEndpointToHostAction": (
        "It is an entry of Felix's configuration, not an object's: whether a pod's policies allow the way to its node "
        "is answered, and docs/dialects.md says that Felix may be told to drop it behind them."
    ),
}


def clauses() -> dict[str, str]:
    """Every clause with its section."""
    return {words: section for section, lines in CHECKLIST.items() for line in lines for words in line}


def quotes() -> Iterator[Quote]:
    """Every quotation in a docstring of a test."""
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text()
        if "Checklist 1." not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for found in QUOTE.finditer(ast.get_docstring(node, clean=False) or ""):
                    yield Quote(found["section"], found["words"], f"{path.relative_to(TESTS)}::{node.name}")
