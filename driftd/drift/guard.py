"""The guard between a new model and the cluster: what a revision may not do without somebody's approval (D8)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from driftd.compile import Compiled, GovernedNamespace, Mode
from driftd.policy.kinds import World, digest_of, kind_of
from driftd.values import Desired, ObjectRef

SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})
"""Namespaces of Kubernetes itself: no model may close them."""
FEW = 5
"""A percentage counts only above so many objects: one of three is a third, and no mass."""


@dataclass(frozen=True, slots=True)
class Held:
    """A revision of the model that is not put in force.

    `reason` is one sentence with the numbers and the way on. `approvable` says whether an approval lets this very
    revision through; where it is False, only another revision does. `count` of `total` objects stand against `limit`.
    """

    reason: str
    approvable: bool
    count: int = 0
    total: int = 0
    limit: int = 0


def guard(
    before: Compiled | None,
    after: Compiled,
    driftd_namespace: str,
    *,
    platform: frozenset[str] = frozenset(),
    pending: Mapping[str, int] | None = None,
    loosened: int = 0,
) -> Held | None:
    """Whether `after` may replace `before`, the model in force (None on the first start); None means it may.

    `platform` are the model's platform namespaces. `pending` says for each namespace how many *live* objects differ
    from `after` such that enforcing would delete or replace them now (creating never counts): switching enforcement on
    passes the same limits as a commit that deletes. `loosened` is how many objects of `after` loosen isolation
    against `before`, by whoever can judge that. What is wrong in any case comes before what is too much.
    """
    return (
        _cuts_off(after, driftd_namespace, platform | SYSTEM_NAMESPACES)
        or _emptied(before, after)
        or _mass("delete", len(deletions(before, after)), before or after, after)
        or _mass("loosen", loosened, before or after, after)
        or _mass(
            "delete or replace live objects by switching on enforcement for", _woken(before, after, pending), after
        )
    )


def deletions(before: Compiled | None, after: Compiled) -> tuple[ObjectRef, ...]:
    """Objects that going from `before` to `after` would delete, in order.

    Only closed kinds, where they are enforced, in namespaces that stay governed: open kinds are never deleted, an
    environment gone from the model is orphaned, and switching enforcement on later passes the guard again.
    """
    if before is None:
        return ()
    stay = [(old, after.governed[name]) for name, old in before.governed.items() if name in after.governed]
    gone = (
        ref
        for old, new in (*stay, (before.cluster_wide, after.cluster_wide))
        if old.closed and new.closed
        for ref in old.objects.keys() - new.objects.keys()
        if new.mode_of(ref.kind) is Mode.ENFORCE
    )
    return tuple(sorted(ref for ref in gone if kind_of(ref).world is World.CLOSED))


def orphans(
    before: Compiled | None, after: Compiled, carried: Mapping[str, GovernedNamespace]
) -> dict[str, GovernedNamespace]:
    """Namespaces that no model governs any more and that are held at their last canonical state until retired.

    Those of `carried` (the orphans so far) and of `before` that `after` does not govern. Their digests are made anew
    with the coverage of `after`, since that is what live digests are made with: otherwise every one of them
    would differ for ever.
    """
    old = {**carried, **({} if before is None else before.governed)}
    return {
        name: replace(governed, objects={ref: _covered_anew(one, after) for ref, one in governed.objects.items()})
        for name, governed in sorted(old.items())
        if name not in after.governed
    }


def _covered_anew(desired: Desired, after: Compiled) -> Desired:
    return replace(desired, digest=digest_of(kind_of(desired.ref), desired.body(), after.coverage))


def _cuts_off(after: Compiled, driftd_namespace: str, protected: frozenset[str]) -> Held | None:
    if driftd_namespace in after.governed:
        return Held(
            f"the model governs {driftd_namespace}, the namespace that driftd itself runs in: its policies would cut "
            "driftd off from the API server; take it out of the model",
            approvable=False,
        )
    closed = sorted(name for name in protected & after.governed.keys() if after.governed[name].closed)
    if not closed:
        return None
    return Held(
        f"the model governs {', '.join(closed)}: platform namespaces carry what every tenant needs (DNS, the gateway, "
        "the API server's helpers), and are never closed by driftd; take them out of the model",
        approvable=False,
        count=len(closed),
    )


def _emptied(before: Compiled | None, after: Compiled) -> Held | None:
    if before is None or not before.governed or after.governed:
        return None
    total = _size(before)
    return Held(
        f"the model is empty: {len(before.governed)} namespaces with {total} objects were in it before; if that is "
        f"meant, {_APPROVE}",
        approvable=True,
        count=total,
        total=total,
    )


_APPROVE = "approve this commit with `driftd approve`, or put back what is gone"


def _mass(what: str, count: int, measured: Compiled, after: Compiled | None = None) -> Held | None:
    """`count` against the limits of the new model; a commit cannot lift its own limit above the old model's."""
    limits = (measured,) if after is None else (measured, after)
    total = _size(measured)
    objects = min(one.mass_objects for one in limits)
    percent = min(one.mass_percent for one in limits)
    if count <= objects and (count <= FEW or count * 100 <= percent * total):
        return None
    limit = min(objects, max(FEW, total * percent // 100))
    return Held(
        f"the model would {what} {count} of {total} objects, more than the {limit} that massChange allows "
        f"({objects} objects, or {percent} percent and more than {FEW}); if that is meant, {_APPROVE}",
        approvable=True,
        count=count,
        total=total,
        limit=limit,
    )


def _woken(before: Compiled | None, after: Compiled, pending: Mapping[str, int] | None) -> int:
    """Live objects that would be written over because enforcement is switched on where it was not."""
    return sum((pending or {}).get(one.name, 0) for one in switched_on(before, after))


def switched_on(before: Compiled | None, after: Compiled) -> tuple[GovernedNamespace, ...]:
    """Scopes in which some kind is enforced now and was not before, or was not governed: ask `pending` of these."""
    was = {} if before is None else {one.name: one for one in before.every_scope()}
    return tuple(
        new
        for new in after.every_scope()
        if any(not _enforced(was.get(new.name), kind) for kind in _enforced_kinds(new))
    )


def _enforced_kinds(governed: GovernedNamespace) -> Iterator[str]:
    for kind in sorted({ref.kind for ref in governed.objects} | set(governed.kind_modes)):
        if _enforced(governed, kind):
            yield kind


def _enforced(governed: GovernedNamespace | None, kind: str) -> bool:
    return governed is not None and governed.mode_of(kind) is Mode.ENFORCE


def _size(compiled: Compiled) -> int:
    return sum(len(governed.objects) for governed in compiled.every_scope())
