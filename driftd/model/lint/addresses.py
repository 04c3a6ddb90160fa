"""Rules about addresses: an attachment by CIDR is a small hole to the outside, never a way back in."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

from driftd.model.lint.finding import Linted
from driftd.model.places import Path
from driftd.model.problems import Problem
from driftd.model.schema import CidrAttachment, Cluster, network

NARROWEST: Mapping[int, int] = {4: 24, 6: 64}
"""Shortest prefix of an attachment, by IP version."""


def attachments_are_narrow_and_outside(linted: Linted) -> Iterator[Problem]:
    """An attachment names a few addresses outside the cluster."""
    own = list(_own(linted.model.cluster))
    cluster = (f"Cluster/{linted.model.cluster.name}",)
    for environment in linted.environments():
        for name, attachment in environment.attachments.items():
            if not isinstance(attachment, CidrAttachment):
                continue
            path = ("spec", "attachments", name, "cidr")
            wanted = network(attachment.cidr)
            widest = NARROWEST[wanted.version]
            if wanted.prefixlen < widest:
                message = f"{attachment.cidr} is wider than /{widest}"
                remedy = "name the addresses one by one, each as an attachment"
                yield linted.tell("error", environment, path, message, remedy)
            for what, cidr in own:
                other = network(cidr)
                if other.version == wanted.version and other.overlaps(wanted):
                    yield linted.tell(
                        "error",
                        environment,
                        path,
                        f"{attachment.cidr} overlaps {cidr}, one of the Cluster's {what}",
                        "attach a workload in the cluster by `namespace` and `labels`, and leave denied networks alone",
                        against=cluster,
                    )


def own_ranges_are_apart(linted: Linted) -> Iterator[Problem]:
    """Pods, services and nodes have addresses of their own: an overlap is a slip of the pen that opens something."""
    ranges = linted.model.cluster.spec.ranges
    kinds = {"pods": ranges.pods, "services": ranges.services, "nodes": ranges.nodes}
    for (left, ours), (right, theirs) in combinations(kinds.items(), 2):
        for one in ours:
            for index, two in enumerate(theirs):
                first, second = network(one), network(two)
                if first.version == second.version and first.overlaps(second):
                    message = f"{two} ({right}) overlaps {one} ({left})"
                    path: Path = ("spec", "ranges", right, index)
                    yield linted.tell("error", linted.model.cluster, path, message, "correct the ranges")


def _own(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """The cluster's own networks: which field, which network."""
    ranges = cluster.spec.ranges
    fields = (
        ("pods", ranges.pods),
        ("services", ranges.services),
        ("nodes", ranges.nodes),
        ("apiServer", ranges.api_server),
        ("denyCIDRs", cluster.spec.deny_cidrs),
    )
    for field, networks in fields:
        for one in networks:
            yield field, one


RULES: Sequence[Callable[[Linted], Iterator[Problem]]] = (attachments_are_narrow_and_outside, own_ranges_are_apart)
