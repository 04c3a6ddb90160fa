"""All ports at once means what one connection after the other means, in every world and over states that share pods."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.bodies import Body, Cluster
from tests.oracle.port_sets import PortSets
from tests.oracle.universe import Flow, Pairs, Universe, atomic_ports, boundary_addresses, flows_in
from tests.oracle.worlds import DIALECTS, World
from tests.support.clusters import clusters, network_policies

WORLDS = sorted({world for worlds in DIALECTS.values() for world in worlds}, key=repr)


def flat(found: Pairs) -> frozenset[Flow]:
    return frozenset(Flow(*pair, *port) for pair, ports in found.items() for port in ports)


@settings(max_examples=25, deadline=None)
@given(clusters(max_pods=3), st.sampled_from(WORLDS), st.data())
def test_states_that_share_their_pods_are_answered_as_the_plain_oracle_does(
    cluster: Cluster, world: World, data: st.DataObject
) -> None:
    fresh = data.draw(network_policies(name="fresh"))
    relabelled: list[Body] = [
        {**body, "metadata": {**body["metadata"], "labels": {"team": "red"}}} for body in cluster.namespaces
    ]
    states = [
        cluster,
        replace(cluster, policies=[*cluster.policies, fresh]),
        replace(cluster, policies=cluster.policies[1:]),
        replace(cluster, namespaces=relabelled),
        replace(cluster, policies=[fresh], namespaces=relabelled),
    ]
    every = [*cluster.policies, fresh]
    universe = Universe((*cluster.pods, *boundary_addresses(every)[:3]), atomic_ports(every, cluster.pods)[:8])
    quick = PortSets(world, universe)
    for state in states:
        assert flat(quick.open_in(state)) == flows_in(world, state, universe)
    for before, canonical, now in zip(states, states[2:], states[1:], strict=False):
        entitled = flows_in(world, before, universe) | flows_in(world, canonical, universe)
        assert flat(quick.opened(now, before, canonical)) == flows_in(world, now, universe) - entitled
