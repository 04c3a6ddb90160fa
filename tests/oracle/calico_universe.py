"""The probe universe where Calico rules: one pod for each way its selectors tell labels apart."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, product
from typing import Any

from tests.oracle.bodies import Body
from tests.oracle.calico_selectors import matches, tokens
from tests.oracle.mentions import address_atoms, port_atoms
from tests.oracle.networkpolicy import is_network_policy
from tests.oracle.universe import Universe, representative_pods

SELECTORS = frozenset({"selector", "notSelector"})
MOST_CANDIDATES = 512


def universe_of(policies: Sequence[Body], others: Sequence[Body], namespaces: Iterable[str], limit: int) -> Universe:
    """At most `limit` pods a namespace for Kubernetes' selectors, as many for Calico's; ports and addresses in use."""
    where = sorted(set(namespaces))
    kubernetes = representative_pods([body for body in policies if is_network_policy(body)], where, limit, (4,))
    pods = list(kubernetes)
    for space in where:
        for labels in label_sets(policies, limit):
            index = len(pods)
            pods.append(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": f"probe-calico-{index}", "namespace": space, "labels": labels},
                    "spec": {"containers": [{"name": "main"}]},
                    "status": {
                        "phase": "Running",
                        "podIPs": [{"ip": f"10.244.{128 + index // 250}.{index % 250 + 1}"}],
                    },
                }
            )
    bodies = [*policies, *others]
    return Universe((*pods, *address_atoms(bodies)), port_atoms(bodies, pods))


def label_sets(policies: Iterable[Body], limit: int) -> list[dict[str, str]]:
    """Label sets that answer the selectors differently, each in its own way."""
    texts = sorted({text for body in policies for text in _selectors(body, "")})
    options: dict[str, list[str | None]] = {}
    for text in texts:
        words = tokens(text)
        keys = [word.value for word in words if word.kind in ("word", "has")]
        values = [word.value for word in words if word.kind == "string"]
        for key in keys:
            if not key.startswith("projectcalico.org/"):
                known = options.setdefault(key, [None])
                known.extend(value for value in [*values, "other"] if value not in known)
    found: dict[tuple[bool, ...], dict[str, str]] = {}
    for choice in islice(product(*options.values()), MOST_CANDIDATES):
        labels = {key: value for key, value in zip(options, choice, strict=True) if value is not None}
        found.setdefault(tuple(matches(text, labels) for text in texts), labels)
    return list(found.values())[:limit]


def _selectors(value: Any, field: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _selectors(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _selectors(inner, field)
    elif isinstance(value, str) and field in SELECTORS:
        yield value
