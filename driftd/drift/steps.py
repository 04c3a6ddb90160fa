"""The steps between the states of a judged world: what a difference, or what lives, changes of it."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from driftd.drift.entitled import Input
from driftd.drift.meaning import Difference, Judgement, worse
from driftd.drift.modelled import BORNE
from driftd.drift.pod_security import lowered
from driftd.policy.kinds import CALICO
from driftd.policy.reach import Edit, Pod, Snapshot
from driftd.values import Body, Direction, FindingType, ObjectRef, scope_of

WEAR = 4
"""Addresses, labels and the like that wear the engine's caches out as much as a step does."""
REF_OF_PODS = ObjectRef("", "Pod", "", "")
"""Stands where a pod says itself who it is."""


def is_calicos(ref: ObjectRef) -> bool:
    """Whether an object is of one of Calico's own kinds."""
    return ref.group == CALICO


def is_calicos_policy(body: Body) -> bool:
    """The same of a body, as far as it is a policy."""
    return "projectcalico.org/" in body["apiVersion"] and body["kind"].endswith("NetworkPolicy")


def width(one: Input) -> int:
    """How far an input wears the caches out: each address is told apart from all others for good."""
    spec = (one.live or {}) if not isinstance(one.live, Pod) else {}
    addresses = sum(len(end.get("addresses") or ()) for end in spec.get("endpoints") or ())
    return (addresses + len((spec.get("spec") or {}).get("nets") or ())) // WEAR


def beside(
    ref: ObjectRef, others: Iterable[ObjectRef], astray: AbstractSet[str], canonical: Snapshot, standing: Snapshot
) -> frozenset[str] | None:
    """Where an object can do what it does not do alone: between its namespace and those not as the model has them.

    Everywhere else both ends of a flow are the same beside `others` as without them, and so is what the object does to
    it. None where that cannot be said: what belongs to no namespace is everywhere, and two in one namespace are one.
    """
    home = scope_of(ref).namespace
    places = {scope_of(one).namespace for one in others if one != ref} | astray
    alike = standing.cluster == canonical.cluster
    return frozenset({home, *places}) if alike and home and home not in places and "" not in places else None


def together(alone: Judgement, there: Judgement, *, partly: bool) -> Judgement:
    """What a difference does by itself and beside others. `partly`: beside them a part of the world was looked at.

    Pods to come are imagined where no flow of live ones crosses a border. Of a part that may be so though a flow
    elsewhere does: that not all of them can be imagined there makes nothing unknown.
    """
    needless = partly and alone.surely_crosses and there.direction is Direction.UNKNOWN
    return alone if needless else worse(alone, there)


def own_meaning(difference: Difference) -> Judgement | None:
    """What no flow shows: pods that may leave the network's rules, and tokens that open the API server."""
    live, desired = difference.live, difference.desired
    if live is None or desired is None:
        return None
    if difference.ref.kind == "Namespace":
        return lowered(desired.body(), live.body())
    if difference.ref.kind == "ServiceAccount":
        wanted, now = (body.get("automountServiceAccountToken") for body in (desired.body(), live.body()))
        if wanted is False and now is not False:
            return Judgement(Direction.LOOSENS, crosses_tenant=False)
    return None


def edit_of(difference: Difference) -> Edit | None:
    """The step from canonical to live; None for kinds that decide no flow."""
    if (difference.ref.group, difference.ref.kind) not in BORNE:
        return None
    if difference.live is None or difference.type is FindingType.TERMINATING:
        return Edit(remove=(difference.ref,))
    # A policy that lives under its other spelling stands in for the canonical one: they are not two.
    desired = difference.desired
    return Edit(
        put=(difference.live.body(),),
        remove=(desired.ref,) if desired is not None and desired.ref != difference.ref else (),
    )


def inputs_edit(sides: Iterable[tuple[ObjectRef, Body | Pod | None]]) -> Edit:
    """Each object as it is to be; None where it is not."""
    put: list[Body | Pod] = []
    gone: list[ObjectRef] = []
    for ref, side in sides:
        if side is None:
            gone.append(ref)
        else:
            put.append(side)
    return Edit(put=tuple(put), remove=tuple(gone))


def policies_edit(before: Mapping[ObjectRef, Body], after: Mapping[ObjectRef, Body]) -> Edit:
    """From one set of policies to another."""
    return Edit(
        put=tuple(body for ref, body in after.items() if before.get(ref) != body),
        remove=tuple(ref for ref in before if ref not in after),
    )
