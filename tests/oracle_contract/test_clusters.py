"""The generated clusters are valid, varied, and the oracle keeps its laws on them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.bodies import Body, Cluster
from tests.oracle.universe import Flow, Universe, atomic_ports, boundary_addresses, flows, flows_in, universe_of
from tests.oracle.worlds import DIALECTS
from tests.support.clusters import clusters, edited_clusters, network_policies

FEW = settings(max_examples=40, deadline=None)
CALICO = DIALECTS["calico"][0]


def asked(*of: Cluster) -> Universe:
    pods = {(pod["metadata"]["namespace"], pod["metadata"]["name"]): pod for one in of for pod in one.pods}
    policies = [body for one in of for body in one.policies]
    everybody: list[Body] = list(pods.values())
    return Universe((*everybody, *boundary_addresses(policies)[:6]), atomic_ports(policies, everybody))


def current(universe: Universe, cluster: Cluster) -> Universe:
    """The same universe with the pods as they are in `cluster`."""
    addresses = tuple(one for one in universe.endpoints if not isinstance(one, dict))
    return Universe((*cluster.pods, *addresses), universe.ports)


@FEW
@given(clusters(max_pods=3))
def test_must_is_within_may_in_every_dialect(cluster: Cluster) -> None:
    universe = asked(cluster)
    for dialect in DIALECTS:
        found = flows(cluster, universe.endpoints, universe.ports, dialect)
        assert found.must <= found.may


@FEW
@given(clusters(max_pods=3))
def test_the_order_of_policies_means_nothing(cluster: Cluster) -> None:
    universe = asked(cluster)
    turned = Cluster(cluster.namespaces, cluster.pods, list(reversed(cluster.policies)))
    assert flows_in(CALICO, cluster, universe) == flows_in(CALICO, turned, universe)


@FEW
@given(clusters(max_pods=3), st.data())
def test_a_policy_without_rules_never_opens_and_a_rule_more_never_closes(cluster: Cluster, data: st.DataObject) -> None:
    fresh = data.draw(network_policies(name="fresh"))
    universe = asked(cluster, Cluster(policies=[fresh]))
    bare = {**fresh, "spec": {**fresh["spec"], "ingress": [], "egress": [], "policyTypes": ["Ingress", "Egress"]}}
    types = {"policyTypes": ["Ingress", "Egress"]}
    full = {**fresh, "spec": {**fresh["spec"], **types}}
    before = flows_in(CALICO, cluster, universe)
    isolated = flows_in(CALICO, Cluster(cluster.namespaces, cluster.pods, [*cluster.policies, bare]), universe)
    ruled = flows_in(CALICO, Cluster(cluster.namespaces, cluster.pods, [*cluster.policies, full]), universe)
    assert isolated <= before
    assert isolated <= ruled


@FEW
@given(edited_clusters(max_pods=3, host_network=False))
def test_an_edit_is_always_one_step_away_and_changes_only_what_it_touches(pair: tuple[Cluster, Cluster]) -> None:
    before, after = pair
    touched = (
        [one for one in before.policies if one not in after.policies]
        + [one for one in after.policies if one not in before.policies]
        + [one for one in after.pods if one not in before.pods]
    )
    where = {body["metadata"]["namespace"] for body in touched}
    where |= {one["metadata"]["name"] for one in after.namespaces if one not in before.namespaces}
    assert len(where) <= 1
    universe = asked(before, after)
    was, now = (flows_in(CALICO, one, current(universe, one)) for one in (before, after))
    spaces = [{_space(flow.source), _space(flow.target)} for flow in was ^ now]
    assert all(found & where for found in spaces)


@FEW
@given(clusters(max_pods=2, max_policies=2))
def test_atoms_show_every_port_that_boundaries_show(cluster: Cluster) -> None:
    """Asking one port a stretch is as good as asking each edge: the answers at the edges follow from those below."""
    wide = universe_of(cluster, namespaces=())
    atoms = atomic_ports(cluster.policies, cluster.pods)
    at_edges = flows_in(CALICO, cluster, Universe(tuple(cluster.pods[:2]), wide.ports))
    at_atoms = flows_in(CALICO, cluster, Universe(tuple(cluster.pods[:2]), atoms))
    for protocol, port in wide.ports:
        below = max(number for name, number in atoms if name == protocol and number <= port)
        assert _at(at_edges, protocol, port) == _at(at_atoms, protocol, below)


def _at(found: frozenset[Flow], protocol: str, port: int) -> set[tuple[str, str]]:
    return {(flow.source, flow.target) for flow in found if (flow.protocol, flow.port) == (protocol, port)}


def _space(identity: str) -> str:
    return identity.partition("/")[0] if "/" in identity else ""
