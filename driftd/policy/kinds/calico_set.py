"""Calico's NetworkSet and GlobalNetworkSet: addresses that selectors find by label.

The addresses are a set. The labels decide which rules mean them, so all of them are covered: one label more can put
the addresses into a rule of another tenant. Source: `api/pkg/apis/projectcalico/v3/networkset.go`.
"""

from typing import ClassVar

from driftd.policy.kinds.addresses import cidr
from driftd.policy.kinds.calico_names import CALICO
from driftd.policy.kinds.canonical import as_set, by_text, mapping, sequence, strings
from driftd.policy.kinds.kind import Coverage
from driftd.policy.kinds.whole_spec import WholeSpec, put
from driftd.values import Body, Resource


class CalicoSet(WholeSpec):
    """What the two kinds share: all but the scope."""

    dialect: ClassVar[str] = "calico"

    def covered(self, body: Body, coverage: Coverage) -> Body:
        covered = super().covered(body, coverage)
        covered["metadata"]["labels"] = _labels(body)
        return covered

    def merged(self, live: Body, desired: Body, coverage: Coverage) -> Body:
        body = super().merged(live, desired, coverage)
        put(body["metadata"], "labels", _labels(desired))
        return body

    def canonical_spec(self, spec: Body) -> Body:
        nets = sequence(spec.get("nets"), "spec.nets")
        return {**spec, "nets": as_set([cidr(one) if type(one) is str else one for one in nets])}

    def keyed_spec(self, canonical: Body) -> Body:
        return {**canonical, "nets": by_text((str(one), True) for one in canonical["nets"])}

    def emptied_spec(self, spec: Body) -> Body:
        return {**spec, "nets": []}


class NetworkSetKind(CalicoSet):
    """The namespaced kind as the registry holds it."""

    resource = Resource(CALICO, "v3", "NetworkSet", "networksets")
    rank = 7


class GlobalNetworkSetKind(CalicoSet):
    """The cluster-wide kind as the registry holds it."""

    resource = Resource(CALICO, "v3", "GlobalNetworkSet", "globalnetworksets", namespaced=False)
    rank = 6


def _labels(body: Body) -> dict[str, str]:
    return strings(mapping(body.get("metadata"), "metadata").get("labels"), "metadata.labels")
