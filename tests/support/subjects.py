"""One subject a governed kind: where its objects are stored, objects rich in fields, and words for their values."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from driftd.policy.kinds import CALICO, KINDS, Coverage
from tests.oracle.sameness import KindId, Named
from tests.support import calico_crds
from tests.support.changes import Words
from tests.support.kube import Body

SPACE = "digest-law"
ITSELF = f"{SPACE}-itself"
"""The Namespace that is changed; objects of the other kinds stand in `SPACE`."""
NAMED = Named(read=frozenset({"team"}), named=frozenset({"named"}))
COVERAGE = Coverage(selector_keys=NAMED.read, named_keys={ITSELF: NAMED.named}, created=frozenset({ITSELF}))


@dataclass(frozen=True)
class Subject:
    """A kind as it is served. `bases`: objects without identity, the first `rich` of them rich in fields."""

    kind: KindId
    group: str
    version: str
    plural: str
    namespaced: bool
    bases: Sequence[Body]
    words: Words
    rich: int = 1

    @property
    def collection(self) -> str:
        where = f"namespaces/{SPACE}/" if self.namespaced else ""
        return (
            f"apis/{self.group}/{self.version}/{where}{self.plural}" if self.group else f"api/v1/{where}{self.plural}"
        )

    @property
    def is_namespace(self) -> bool:
        return self.kind == ("", "Namespace")

    def body(self, base: Body, name: str) -> Body:
        """A base with an identity."""
        api = f"{self.group}/{self.version}" if self.group else self.version
        metadata = {**(base.get("metadata") or {}), "name": name}
        if self.namespaced:
            metadata["namespace"] = SPACE
        return {**base, "apiVersion": api, "kind": self.kind[1], "metadata": metadata}


# -- metadata ---------------------------------------------------------------------------------------------------------

LABELS = (
    "driftd.dev/tenant",
    "driftd.dev/more",
    "team",
    "named",
    "foreign",
    "pod-security.kubernetes.io/enforce",
    "pod-security.kubernetes.io/enforce-version",
    "pod-security.kubernetes.io/warn",
    "istio-injection",
    "istio.io/rev",
    "linkerd.io/control-plane-ns",
    "config.linkerd.io/more",
    "config.alpha.linkerd.io/more",
)
NOTES = (
    "driftd.dev/model",
    "driftd.dev/condemned",
    "driftd.dev/epoch",
    "driftd.dev/more",
    "named",
    "foreign",
    "kubectl.kubernetes.io/last-applied-configuration",
    "linkerd.io/inject",
    "istio.io/rev",
    "config.linkerd.io/skip-inbound-ports",
)
OWNER: Body = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "name": "owner",
    "uid": "0b6f7f30-0000-4000-8000-000000000001",
    "controller": True,
    "blockOwnerDeletion": True,
}
METADATA: Body = {
    "labels": {"driftd.dev/tenant": "acme", "foreign": "a"},
    "annotations": {"driftd.dev/model": "a.yaml#Environment/a", "foreign": "a"},
    "finalizers": ["example.com/hold"],
    "ownerReferences": [OWNER],
}
_VALUES: Mapping[str, Sequence[Any]] = {
    "labels.*": ("baseline", "privileged"),
    "annotations.*": ("5", "6"),
    "finalizers.[]": ("example.com/hold", "example.com/other"),
    "ownerReferences.[].apiVersion": ("v1", "apps/v1"),
    "ownerReferences.[].kind": ("ConfigMap", "Secret"),
    "ownerReferences.[].uid": (OWNER["uid"], "0b6f7f30-0000-4000-8000-000000000002"),
}
_KEYS: Mapping[str, Sequence[str]] = {"labels": LABELS, "annotations": NOTES}

# -- Kubernetes' own --------------------------------------------------------------------------------------------------

_AMOUNTS = ("1", "1000m", "2", "2000m", "1500m", "1.5", "2Gi", "2147483648", "2e9", "2G", 1)
_SELECTOR: Body = {
    "matchLabels": {"app": "web"},
    "matchExpressions": [{"key": "tier", "operator": "In", "values": ["web"]}],
}
_BLOCK: Body = {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}
_PORTS: list[Body] = [{"protocol": "TCP", "port": 80, "endPort": 90}, {"protocol": "UDP", "port": 53}]
_PEERS: list[Body] = [{"podSelector": _SELECTOR, "namespaceSelector": _SELECTOR}, _BLOCK]
_POLICY = Words(
    values={
        **_VALUES,
        "key": ("tier", "app"),
        "values.[]": ("web", "db"),
        "matchLabels.*": ("web", "db", ""),
        "operator": ("In", "NotIn", "Exists", "DoesNotExist"),
        "cidr": ("0.0.0.0/0", "2001:db8::/32", "10.0.0.0/8"),
        "except.[]": ("10.2.0.0/16", "10.1.0.0/16"),
        "protocol": ("TCP", "UDP", "SCTP"),
        "port": (81, 80, "http"),
        "endPort": (91, 90),
        "policyTypes.[]": ("Ingress", "Egress"),
    },
    keys={**_KEYS, "matchLabels": ("app", "tier")},
)
_QUOTA = Words(
    values={
        **_VALUES,
        "hard.*": _AMOUNTS,
        "scopes.[]": ("BestEffort", "NotTerminating", "Terminating", "NotBestEffort"),
        "scopeName": ("PriorityClass", "Terminating", "BestEffort"),
        "operator": ("In", "NotIn", "Exists", "DoesNotExist"),
        "values.[]": ("low", "high"),
    },
    keys={**_KEYS, "hard": ("pods", "requests.cpu", "limits.memory", "count/deployments.apps")},
)
_LIMITS = Words(
    values={
        **_VALUES,
        "type": ("Container", "Pod", "PersistentVolumeClaim"),
        "maxLimitRequestRatio.*": ("4", "4000m", "5", 4),
        "max.*": ("8", "8000m", "9"),
        "default.*": ("4", "4000m", "5"),
        "defaultRequest.*": ("3", "3000m", "2500m"),
        "min.*": ("1", "1000m", "1500m"),
    },
    keys={
        **_KEYS,
        **dict.fromkeys(("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"), ("cpu", "memory")),
    },
)
_CLASSES: Body = {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}
_LIMIT: Body = {
    "type": "Container",
    "max": {"cpu": "8"},
    "default": {"cpu": "4"},
    "defaultRequest": {"cpu": "3"},
    "min": {"cpu": "1"},
}


# Metadata stand on an object of their own: what has an owner that is not there costs a garbage collector much.


def _apart(*bases: Body) -> tuple[Body, ...]:
    """The same with no part in two places, so that a change is made in one."""
    return tuple(json.loads(json.dumps(base)) for base in bases)


def _own(kind: KindId, words: Words, *bases: Body, rich: int = 1) -> Subject:
    resource = KINDS[kind].resource
    return Subject(
        kind,
        resource.group,
        resource.version,
        resource.plural,
        resource.namespaced,
        _apart(*bases[:rich], {**bases[-1], "metadata": METADATA}, *bases[rich:]),
        words,
        rich + 1,
    )


# -- Calico's ---------------------------------------------------------------------------------------------------------

_ENTITY: Body = {
    "nets": ["10.0.0.0/8"],
    "notNets": ["10.1.0.0/16"],
    "selector": "has(app)",
    "notSelector": "has(rogue)",
    "namespaceSelector": "has(tenant)",
    "ports": [80],
    "notPorts": [81],
    "services": {"name": "web", "namespace": "acme"},
    "serviceAccounts": {"names": ["web"], "selector": "has(role)"},
}
_RULE: Body = {
    "action": "Allow",
    "protocol": "TCP",
    "notProtocol": "UDP",
    "ipVersion": 4,
    "icmp": {"type": 8, "code": 0},
    "notICMP": {"type": 9, "code": 0},
    "source": _ENTITY,
    "destination": _ENTITY,
    "http": {"methods": ["GET"], "paths": [{"exact": "/a"}, {"prefix": "/b"}]},
    "metadata": {"annotations": {"a": "b"}},
}
_TIERED: Body = {
    "tier": "platform",
    "order": 10,
    "selector": "all()",
    "serviceAccountSelector": "has(role)",
    "types": ["Ingress", "Egress"],
    "performanceHints": ["AssumeNeededOnEveryNode"],
    "ingress": [_RULE, {"action": "Pass"}],
    "egress": [_RULE, {"action": "Pass"}],
}
_FLAGS: Body = {"doNotTrack": True, "preDNAT": True, "applyOnForward": True, "namespaceSelector": "has(tenant)"}
_NETS = ("10.0.0.0/8", "10.1.2.3/8", "2001:db8::/32", "2001:DB8:0::/32", "192.0.2.7")
_SELECTORS = ("has(app)", " has(app)\t", "all()", "")
_CALICO = Words(
    values={
        **_VALUES,
        "order": (10, 10.0, 10.5, 0),
        "tier": ("platform", "default", ""),
        "selector": _SELECTORS,
        "notSelector": _SELECTORS,
        "namespaceSelector": _SELECTORS,
        "serviceAccountSelector": _SELECTORS,
        "types.[]": ("Ingress", "Egress"),
        "action": ("Deny", "Pass", "Log", "Allow"),
        "protocol": ("TCP", 6, "ICMP"),
        "notProtocol": ("TCP", 6, "ICMP"),
        "nets.[]": _NETS,
        "notNets.[]": _NETS,
        "ports.[]": (80, "80", "80:90", "http"),
        "notPorts.[]": (80, "80", "80:90", "http"),
        "services.name": ("db", "web", ""),
        "exact": ("/a", "/b"),
        "prefix": ("/a", "/b"),
        "annotations.*": ("5", ""),
    },
    keys=_KEYS,
)


def _calico(kind: str, *specs: Body) -> Subject:
    first, *more = ({"spec": spec} for spec in specs)
    return Subject(
        (CALICO, kind),
        calico_crds.GROUP,
        "v1",
        calico_crds.PLURALS[kind],
        KINDS[CALICO, kind].resource.namespaced,
        _apart(first, {**more[-1], "metadata": METADATA}, *more),
        _CALICO,
        rich=2,
    )


SUBJECTS: Mapping[KindId, Subject] = {
    one.kind: one
    for one in (
        _own(("", "Namespace"), Words(_VALUES, _KEYS), {}, {}),
        _own(
            ("", "ServiceAccount"),
            Words(_VALUES, _KEYS),
            {
                "automountServiceAccountToken": False,
                "secrets": [{"name": "mine"}],
                "imagePullSecrets": [{"name": "registry"}, {"name": "other"}],
            },
            {},
        ),
        _own(
            ("", "ResourceQuota"),
            _QUOTA,
            {"spec": {"hard": {"pods": "1"}, "scopes": ["NotTerminating"]}},
            {"spec": {"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions": [_CLASSES]}}},
            {"spec": {"scopeSelector": {"matchExpressions": [{"scopeName": "NotTerminating", "operator": "Exists"}]}}},
            {"spec": {}},
            rich=3,
        ),
        _own(
            ("", "LimitRange"),
            _LIMITS,
            {"spec": {"limits": [_LIMIT, {"type": "Pod", "maxLimitRequestRatio": {"cpu": "2"}}]}},
            {"spec": {"limits": [{"type": "Pod", "maxLimitRequestRatio": {"cpu": "2"}}]}},
            {"spec": {"limits": [{"type": "Container", "max": {"cpu": "8"}}]}},
            {"spec": {"limits": []}},
            rich=2,
        ),
        _own(
            ("networking.k8s.io", "NetworkPolicy"),
            _POLICY,
            {
                "spec": {
                    "podSelector": _SELECTOR,
                    "policyTypes": ["Ingress", "Egress"],
                    "ingress": [{"from": _PEERS, "ports": _PORTS}],
                    "egress": [{"to": _PEERS, "ports": _PORTS}],
                }
            },
            {"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}},
            {"spec": {"podSelector": {}}},
        ),
        _calico("Tier", {"order": 10, "defaultAction": "Pass"}, {}),
        _calico("NetworkSet", {"nets": ["10.0.0.0/8", "192.0.2.0/24"]}, {}),
        _calico("GlobalNetworkSet", {"nets": ["10.0.0.0/8", "192.0.2.0/24"]}, {}),
        _calico("NetworkPolicy", _TIERED, {"ingress": [{"action": "Allow"}]}, {}),
        _calico("GlobalNetworkPolicy", {**_TIERED, **_FLAGS}, {"egress": [{"action": "Allow"}]}, {}),
    )
}
"""One for each governed kind."""
