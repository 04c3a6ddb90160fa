"""The writes that repair one object: made again, put back, cut, condemned, deleted; one body and one reason each."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from driftd.drift.cuts import Isolation, cut_spec, isolation
from driftd.drift.marks import condemned_by, is_emptied
from driftd.policy.kinds import Coverage, Kind, digest_of, isolates_only, kind_of
from driftd.values import (
    CONDEMNED,
    Body,
    Condemn,
    Create,
    Delete,
    Desired,
    Live,
    ObjectRef,
    Replace,
)


class Goal(StrEnum):
    """What a repair wants of its object."""

    EXIST = "exist"
    EQUAL = "equal"
    BE_GONE = "be gone"


class NotRepairableError(ValueError):
    """A repair was asked for what lacks a side it needs: a fault of the caller."""

    def __init__(self, ref: ObjectRef, goal: Goal, lacks: str) -> None:
        super().__init__(f"{ref} shall {goal.value}, but there is no {lacks} to make the write from; compare again")


Sides: TypeAlias = tuple[Desired | None, Live | None]
"""An object as the model has it and as it lives: either may be missing."""


@dataclass(frozen=True, slots=True)
class Repair:
    """One object that differs, what shall become of it, and the id of the finding that says so."""

    finding: str
    ref: ObjectRef
    goal: Goal
    desired: Desired | None
    live: Live | None

    @property
    def kind(self) -> Kind:
        return kind_of(self.ref)

    @property
    def bears_flows(self) -> bool:
        """Whether the object takes part in what may talk to what, so that the order of its writes matters."""
        return bears_flows(self.ref)

    def wanted(self) -> Desired:
        if self.desired is None:
            raise NotRepairableError(self.ref, self.goal, "object of the model")
        return self.desired

    def present(self) -> Live:
        if self.live is None:
            raise NotRepairableError(self.ref, self.goal, "live object")
        return self.live


def bears_flows(ref: ObjectRef) -> bool:
    """Whether a governed object decides flows, as all of these do but for the core group's."""
    return bool(ref.group)


def cut_anew(cut: Replace, live: Body, coverage: Coverage) -> Body:
    """What an interim write asks for where its object is another by now: of that, too, it only takes away.

    Raises:
        MalformedObject: the live object cannot be read as one of its kind.
    """
    if not has_rules_cut(cut.ref):
        return cut.body
    kind = kind_of(cut.ref)
    spec = cut_spec(kind.covered(live, coverage)["spec"], kind.covered(cut.body, coverage)["spec"])
    return {**cut.body, "spec": spec}


def has_rules_cut(ref: ObjectRef) -> bool:
    """Whether the kind can be cut rule by rule (cuts.py): NetworkPolicy."""
    return (ref.group, ref.kind) == ("networking.k8s.io", "NetworkPolicy")


@dataclass(frozen=True, slots=True)
class Writer:
    """Makes the writes of repairs; `epoch` is the leadership that marks what it condemns (D10)."""

    coverage: Coverage
    epoch: int

    def check(self, repair: Repair) -> None:
        """See that the live object can be read as one of its kind, and written again.

        Raises:
            MalformedObject: it cannot, so no write of it can be made.
        """
        if repair.live is not None:
            digest_of(repair.kind, repair.live.body(), self.coverage)

    def create(self, repair: Repair) -> Create:
        wanted = repair.wanted()
        return Create(
            ref=repair.ref,
            body=wanted.body(),
            finding=repair.finding,
            reason=f"make {repair.ref} as {wanted.origin} has it",
        )

    def create_without_rules(self, repair: Repair) -> Create:
        """The object as a pure isolator: creating it can only tighten."""
        wanted = repair.wanted()
        return Create(
            ref=repair.ref,
            body=repair.kind.emptied(wanted.body()),
            finding=repair.finding,
            reason=f"make {repair.ref} without its rules first: it isolates before anything is allowed",
            interim=True,
        )

    def replace(self, repair: Repair) -> Replace:
        """The final PUT of a live object."""
        wanted, live = repair.wanted(), repair.present()
        return Replace(
            ref=repair.ref,
            body=repair.kind.merged(live.body(), wanted.body(), self.coverage),
            uid=live.uid,
            resource_version=live.resource_version,
            finding=repair.finding,
            reason=f"put {repair.ref} back to {wanted.origin}",
        )

    def replace_after(self, repair: Repair) -> Replace:
        """The final PUT after an interim write of the same plan, whose answer names the version to replace."""
        wanted = repair.wanted()
        body = wanted.body() if repair.live is None else repair.live.body()
        return Replace(
            ref=repair.ref,
            body=repair.kind.merged(body, wanted.body(), self.coverage),
            uid="" if repair.live is None else repair.live.uid,
            resource_version="",
            finding=repair.finding,
            reason=f"give {repair.ref} what {wanted.origin} allows, now that nothing else is open",
        )

    def cut(self, repair: Repair) -> Replace | None:
        """The tightening PUT before the final one; None where the live object is as tight already, or cannot be cut.

        A cut that is the canonical object itself is not interim: it is the repair.
        """
        if not has_rules_cut(repair.ref):
            return None
        kind, wanted, live = repair.kind, repair.wanted(), repair.present()
        now, goal = live.body(), wanted.body()
        spec = cut_spec(kind.covered(now, self.coverage)["spec"], kind.covered(goal, self.coverage)["spec"])
        body = kind.merged(now, {**goal, "spec": spec}, self.coverage)
        digest = digest_of(kind, body, self.coverage)
        if digest == wanted.digest:
            return self.replace(repair)
        if digest_of(kind, {**body, "spec": now.get("spec")}, self.coverage) == digest:
            return None  # only our metadata differs: the final PUT puts that right
        return Replace(
            ref=repair.ref,
            body=body,
            uid=live.uid,
            resource_version=live.resource_version,
            finding=repair.finding,
            reason=f"take from {repair.ref} what the model does not allow, before anything is allowed again",
            interim=True,
        )

    def spec_of(self, side: Desired | Live) -> Body:
        """The covered spec of an object."""
        spec: Body = kind_of(side.ref).covered(side.body(), self.coverage)["spec"]
        return spec

    def create_interim(self, repair: Repair, spec: Body) -> Create:
        """The object with another spec first, which only tightens."""
        wanted = repair.wanted()
        return Create(
            ref=repair.ref,
            body={**wanted.body(), "spec": spec},
            finding=repair.finding,
            reason=f"make {repair.ref} with nothing but denials first: it closes before anything is allowed",
            interim=True,
        )

    def replace_interim(self, repair: Repair, spec: Body) -> Replace:
        """The live object with a spec on the way, which only tightens."""
        return self._interim(repair, repair.wanted().body(), spec)

    def deny_interim(self, repair: Repair, spec: Body) -> Replace:
        """The same for an object that the model does not have."""
        return self._interim(repair, repair.present().body(), spec)

    def _interim(self, repair: Repair, like: Body, spec: Body) -> Replace:
        live = repair.present()
        return Replace(
            ref=repair.ref,
            body=repair.kind.merged(live.body(), {**like, "spec": spec}, self.coverage),
            uid=live.uid,
            resource_version=live.resource_version,
            finding=repair.finding,
            reason=f"take from {repair.ref} what the model does not allow, before anything is allowed again",
            interim=True,
        )

    def condemn_after(self, repair: Repair) -> Condemn:
        """The emptying PUT after an interim write of the same plan, whose answer names the version."""
        live = repair.present()
        return Condemn(
            ref=repair.ref,
            body=self._condemned(repair),
            uid=live.uid,
            resource_version="",
            finding=repair.finding,
            reason=f"empty {repair.ref} and mark it for deletion: the model does not have it",
        )

    def _condemned(self, repair: Repair) -> Body:
        body = repair.kind.emptied(repair.present().body())
        metadata = body["metadata"]
        metadata["annotations"] = {**(metadata.get("annotations") or {}), CONDEMNED: str(self.epoch)}
        return body

    def is_emptied(self, repair: Repair) -> bool:
        """Whether an unexpected object allows nothing any more."""
        return is_emptied(repair.present(), self.coverage)

    def condemn(self, repair: Repair) -> Condemn | None:
        """The PUT that empties and marks; None where this epoch has done it, or somebody's deletion waits anyway."""
        live = repair.present()
        emptied = is_emptied(live, self.coverage)
        if emptied and (live.terminating or condemned_by(live) == str(self.epoch)):
            return None
        return Condemn(
            ref=repair.ref,
            body=self._condemned(repair),
            uid=live.uid,
            resource_version=live.resource_version,
            finding=repair.finding,
            reason=f"empty {repair.ref} and mark it for deletion: the model does not have it",
        )

    def delete(self, repair: Repair, *, condemned_before: bool) -> Delete | None:
        """The DELETE of the condemned version; None for what is being deleted already."""
        live = repair.present()
        if live.terminating:
            return None
        return Delete(
            ref=repair.ref,
            uid=live.uid,
            resource_version=live.resource_version if condemned_before else "",
            finding=repair.finding,
            reason=f"delete {repair.ref}: the model does not have it, and it is empty",
        )

    def isolates_only(self, desired: Desired) -> bool:
        """Whether a canonical object allows nothing itself."""
        return has_rules_cut(desired.ref) and isolates_only(self._covered(desired))

    def isolation(self, desired: Desired) -> Isolation | None:
        """What a canonical NetworkPolicy isolates; None for other kinds."""
        return isolation(self._covered(desired)["spec"]) if has_rules_cut(desired.ref) else None

    def _covered(self, desired: Desired) -> Body:
        return kind_of(desired.ref).covered(desired.body(), self.coverage)
