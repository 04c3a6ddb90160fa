"""Live admin policies, which no model has and driftd never writes: how the judged world takes them in.

They decide before, or after, every NetworkPolicy of the cluster, where somebody enforces them. An API server stores
them under any network, and nobody can see from it whether this one reads them. So each of them is perhaps enforced:
what it allows counts as open, and what it denies as not denied, for what is not in the model must not make a hole
harmless. They count where everything that stands open counts, and not where a difference is judged alone. Each of them
is a difference itself, judged by what its absence would change.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from driftd.drift.meaning import Difference, judgeable, work_of
from driftd.policy.kinds import NAMESPACE_NAME
from driftd.policy.reach import Dialect, namespace_keys
from driftd.values import Body, FindingType, Live, ObjectRef

MOST_OF_ALL = 2048
"""Values of all admin policies together that are taken in, the smallest policies first."""
_MOST_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class AdminPolicies:
    """The live admin policies, in the versions that are read. Another value of this class is another state.

    `seen` False: some kind of theirs is served and cannot be read now, so that there may be others.
    """

    live: Mapping[ObjectRef, Live] = field(default_factory=dict)
    seen: bool = True


NO_ADMIN_POLICIES = AdminPolicies()


@dataclass(frozen=True, slots=True)
class Admitted:
    """Admin policies as a world holds them, beside all that stands open.

    `beyond` are those of which nothing is taken in: too large, too many, or not shaped like one. `keys` are those of
    labels by which any of the others selects namespaces.
    """

    taken: Mapping[ObjectRef, Body] = field(default_factory=dict)
    beyond: frozenset[ObjectRef] = frozenset()
    keys: frozenset[str] = frozenset()
    seen: bool = True


def admitted(policies: AdminPolicies, dialect: Dialect) -> Admitted:
    """As many of the admin policies as a world bears."""
    taken: dict[ObjectRef, Body] = {}
    beyond: set[ObjectRef] = set()
    left = MOST_OF_ALL
    for _, ref, live in sorted((live.size, ref, live) for ref, live in policies.live.items()):
        one = Difference(FindingType.FOREIGN, ref, None, live)
        work = work_of(one)
        if live.size > _MOST_BYTES or work > left or not judgeable(one, dialect):
            beyond.add(ref)
            continue
        left -= work
        taken[ref] = live.body()
    keys = reduce(or_, map(namespace_keys, taken.values()), frozenset[str]()) - {NAMESPACE_NAME}
    return Admitted(taken, frozenset(beyond), keys, policies.seen)
