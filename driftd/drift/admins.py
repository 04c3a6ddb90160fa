"""Live admin policies, which no model has and driftd never writes: how the judged world takes them in.

They decide before, or after, every NetworkPolicy of the cluster. So whatever differs is judged in their presence: what
one of them denies all the same opens nothing, and what a baseline denied is opened by the first policy that allows it.
One that surely does what is read in it belongs to all states of the world. Of one that is only partly understood, or
perhaps not enforced, nothing is known to be closed by it: it counts where everything that stands open counts, and not
where a difference is judged alone. Each of them is a difference itself, judged by what its absence would change.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from driftd.drift.meaning import Difference, judgeable, work_of
from driftd.policy.kinds import NAMESPACE_NAME
from driftd.policy.reach import Dialect, Edit, is_understood, namespace_keys
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
    """Admin policies as a world holds them: `sure` in every state, `hazy` only beside all that stands open.

    `beyond` are those of which nothing is taken in: too large, too many, or not shaped like one. `keys` are those of
    labels by which any of the others selects namespaces.
    """

    sure: Mapping[ObjectRef, Body] = field(default_factory=dict)
    hazy: Mapping[ObjectRef, Body] = field(default_factory=dict)
    beyond: frozenset[ObjectRef] = frozenset()
    keys: frozenset[str] = frozenset()
    seen: bool = True

    @property
    def every(self) -> Mapping[ObjectRef, Body]:
        return {**self.sure, **self.hazy}


def admitted(policies: AdminPolicies, dialect: Dialect) -> Admitted:
    """Admin policies sorted by how far they are understood, within what a world bears."""
    sure: dict[ObjectRef, Body] = {}
    hazy: dict[ObjectRef, Body] = {}
    beyond: set[ObjectRef] = set()
    left = MOST_OF_ALL
    for _, ref, live in sorted((len(live.raw), ref, live) for ref, live in policies.live.items()):
        one = Difference(FindingType.FOREIGN, ref, None, live)
        work = work_of(one)
        if len(live.raw) > _MOST_BYTES or work > left or not judgeable(one, dialect):
            beyond.add(ref)
            continue
        left -= work
        body = live.body()
        (sure if is_understood(body, dialect) else hazy)[ref] = body
    keys = reduce(or_, map(namespace_keys, (*sure.values(), *hazy.values())), frozenset[str]()) - {NAMESPACE_NAME}
    return Admitted(sure, hazy, frozenset(beyond), keys, policies.seen)


def step(before: Mapping[ObjectRef, Body], after: Mapping[ObjectRef, Body]) -> Edit:
    """The edit from one set of policies to another."""
    return Edit(
        put=tuple(body for ref, body in after.items() if before.get(ref) != body),
        remove=tuple(ref for ref in before if ref not in after),
    )
