"""A matrix of some traffic only: what a whole one says, cut down to it."""

from hypothesis import given

from driftd.policy.reach import Grouping, matrix
from driftd.policy.reach.ports import PORTED
from tests.oracle.bodies import Cluster
from tests.support.clusters import clusters
from tests.support.reach import RELAXED, snapshot


@RELAXED
@given(clusters())
def test_the_matrix_of_some_traffic_is_the_whole_one_cut_down_to_it(cluster: Cluster) -> None:
    seen = snapshot(cluster, "kubernetes")
    whole, part = matrix(seen, Grouping.WORKLOAD), matrix(seen, Grouping.WORKLOAD, traffic=PORTED)
    cut = {(one.source, one.target): (one.must & PORTED, one.may & PORTED) for one in whole.cells if one.may & PORTED}
    assert {(one.source, one.target): (one.must, one.may) for one in part.cells} == cut
