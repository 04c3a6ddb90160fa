"""The steps that repair several of Calico's objects together without a moment looser than before or after (D7).

First everything that differs is cut: made to deny only, at the earlier place, for the pods of both sides. What may
still open and cannot be cut, a Tier that moves, a set whose addresses change, a policy that changes its tier, is a
*pivot*. Until the pivot each end of a connection is within what it was before, after it within the canonical one, and a
single write lies between. Where there are several pivots, the policies that they touch are closed as well, and tiers
that move forward move first. Then every cut policy becomes canonical, one by one. See `calico_cuts.py` for why.

Two moments stay that this does not cover: policies of other scopes in the same tier, and two policies that change their
tiers at the same time.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from math import inf

from driftd.drift.calico_cuts import changes_tier, closed, denying, is_closed, only_shrinks, opens, passes
from driftd.drift.repair import Goal, Repair, Sides, Writer
from driftd.policy.kinds import BUILT_IN_TIERS, CALICO, MalformedObject
from driftd.policy.reach import homes_of, may_mean
from driftd.values import Body, Desired, Live, ObjectRef, Write


class Phase(IntEnum):
    """When a step is due; all before PIVOT only tightens."""

    CUT = 0
    TIER = 1
    MAKE = 2
    PIVOT = 3
    FINAL = 4
    DELETE = 5


@dataclass(frozen=True, slots=True)
class Step:
    """One write of a repair. `rank` orders the steps of a phase."""

    phase: Phase
    repair: Repair
    write: Write
    rank: int = 0


def is_pivot(repair: Repair, writer: Writer) -> bool:
    """Whether the repair is a write that may open and cannot be cut first."""
    if repair.ref.group != CALICO:
        return False
    if repair.ref.kind.endswith("NetworkPolicy"):
        if repair.goal is not Goal.EQUAL:
            return False
        return changes_tier(writer.spec_of(repair.present()), writer.spec_of(repair.wanted()))
    return repair.ref.kind != "Tier" or repair.goal is Goal.EQUAL


def only_denies(repair: Repair, writer: Writer) -> bool:
    """Whether a policy that differs denies all that the canonical one decides: left as it is, it opens nothing."""
    if not Tiered.is_policy(repair.ref) or repair.goal is not Goal.EQUAL:
        return False
    return is_closed(writer.spec_of(repair.present()), writer.spec_of(repair.wanted()))


@dataclass(slots=True)
class Tiered:
    """Makes the steps for the Calico repairs of one plan.

    `stable` are canonical objects that stand, with their live side; `namespaces` says how many Namespaces are to be
    put back in the same plan, which are pivots as well.
    """

    writer: Writer
    repairs: Sequence[Repair]
    stable: Sequence[tuple[Desired, Live]]
    namespaces: int
    _forcing: list[Repair] = field(default_factory=list)
    _homes: dict[str, list[tuple[ObjectRef, frozenset[str] | None]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pivots = [one for one in self.repairs if is_pivot(one, self.writer)]
        self._forcing = [one for one in self.repairs if one.ref.kind == "Tier" and one.goal is Goal.EXIST]
        if len(pivots) + self.namespaces > 1:
            self._forcing += pivots

    def impossible(
        self, unwritable: Collection[ObjectRef], left: Sequence[Sides], unproved: Iterable[ObjectRef]
    ) -> dict[ObjectRef, str]:
        """The repairs that would let through more than the model does for a while, each with a sentence that says why.

        That is a policy that stands, has to be closed meanwhile, and cannot be written; or, where a Tier is made again,
        an object that is `left` as it is (it cannot be written, or is only reported): a policy that allows, whose rules
        come forward with its tier before what has denied meanwhile, or one without which those of the tier allow more.
        What cannot be read, or is not known yet (`unproved`), may allow.
        """
        held: dict[ObjectRef, str] = {}
        for repair, ref in self._closing():
            if ref in unwritable:
                held[repair.ref] = f"it would have {ref} closed meanwhile, which cannot be written now"
        made = [one for one in self._forcing if one.ref.kind == "Tier" and one.goal is Goal.EXIST]
        opening: dict[str | None, ObjectRef] = {}
        for _, live in left if made else ():
            if live is not None and self.is_policy(live.ref):
                opening.setdefault(self._opens_in(live), live.ref)
        for ref in filter(self.is_policy, unproved):
            opening.setdefault(None, ref)
        for one in made:
            blocker = opening.get(one.ref.name) or opening.get(None)
            lacking = self._lacking(one.ref.name, left)
            if blocker is not None:
                held[one.ref] = f"it would put rules of {blocker} in force, which cannot be closed now"
            elif lacking is not None:
                held[one.ref] = f"its policies may allow too much while {lacking} is not as the model has it"
        return held

    def closing(self, until: ObjectRef) -> dict[ObjectRef, str]:
        """The repairs for which canonical policies have to be closed, which could not be opened again before `until`.

        Each with a sentence that says so.
        """
        return {
            repair.ref: f"it would have {ref} closed until {until} is proved absent or can be put right"
            for repair, ref in self._closing()
        }

    def _closing(self) -> Iterator[tuple[Repair, ObjectRef]]:
        for desired, _ in self._to_close():
            spec = self.writer.spec_of(desired)
            yield from ((one, desired.ref) for one in self._forcing if self._touches(one, spec))

    def _lacking(self, tier: str, left: Iterable[Sides]) -> ObjectRef | None:
        """What is not as the model has it, so that policies that stand in a tier may allow more than they should."""
        specs = [self.writer.spec_of(one) for one, _ in self.stable if self.is_policy(one.ref)]
        here = [spec for spec in specs if spec["tier"] == tier]
        if not any(map(opens, here)):
            return None
        for desired, live in left:
            one = desired or live
            if one is None:
                continue
            if self.is_policy(one.ref):
                lacking = desired is not None and self.writer.spec_of(desired)["tier"] == tier
            else:
                lacking = any(_is_meant(side, here) for side in (desired, live) if side is not None)
            if lacking:
                return one.ref
        return None

    def _opens_in(self, live: Live) -> str | None:
        """The tier in which a policy allows something: none is "", and any, for all that is known, None."""
        try:
            spec = self.writer.spec_of(live)
        except MalformedObject:
            written: object = live.body().get("spec")
            tier = written.get("tier") if isinstance(written, dict) else None
            return tier if isinstance(tier, str) and tier else None
        return str(spec["tier"]) if opens(spec) else ""

    def steps(self) -> Iterator[Step]:
        self._note_homes()
        for repair in self.repairs:
            if repair.ref.kind.endswith("NetworkPolicy"):
                yield from self._policy(repair)
            else:
                yield from self._pivot(repair)
        for desired, live in self._to_close():
            spec = self.writer.spec_of(desired)
            cause = next(one.finding for one in self._forcing if self._touches(one, spec))
            yield from self._close(Repair(cause, live.ref, Goal.EQUAL, desired, live), Phase.FINAL)

    def _to_close(self) -> Iterator[tuple[Desired, Live]]:
        if self._forcing:
            for desired, live in self.stable:
                if self.is_policy(desired.ref) and self._is_touched(self.writer.spec_of(desired)):
                    yield desired, live

    def _policy(self, repair: Repair) -> Iterator[Step]:
        match repair.goal:
            case Goal.EXIST:
                yield from self._make(repair)
            case Goal.EQUAL:
                yield from self._put_back(repair)
            case Goal.BE_GONE:
                yield from self._remove(repair)

    def _make(self, repair: Repair) -> Iterator[Step]:
        desired = self.writer.spec_of(repair.wanted())
        if not opens(desired) and self._is_alone(repair.ref, desired):
            yield Step(Phase.MAKE, repair, self.writer.create(repair))
            return
        yield Step(Phase.MAKE, repair, self.writer.create_interim(repair, closed(desired)))
        yield Step(Phase.FINAL, repair, self.writer.replace_after(repair))

    def _put_back(self, repair: Repair) -> Iterator[Step]:
        live, desired = self.writer.spec_of(repair.present()), self.writer.spec_of(repair.wanted())
        if changes_tier(live, desired):
            yield from self._close(repair, Phase.PIVOT)
        elif only_shrinks(live, desired) and not self._is_touched(desired):
            yield Step(Phase.CUT, repair, self.writer.replace(repair))
        elif is_closed(live, desired):
            yield Step(Phase.FINAL, repair, self.writer.replace(repair))
        else:
            yield from self._close(repair, Phase.FINAL)

    def _close(self, repair: Repair, then: Phase) -> Iterator[Step]:
        live, desired = self.writer.spec_of(repair.present()), self.writer.spec_of(repair.wanted())
        spec = closed(desired, live)
        if spec != live:
            yield Step(Phase.CUT, repair, self.writer.replace_interim(repair, spec))
        final = self.writer.replace(repair) if spec == live else self.writer.replace_after(repair)
        yield Step(then, repair, final, 3)

    def _remove(self, repair: Repair) -> Iterator[Step]:
        live = self.writer.spec_of(repair.present())
        if passes(live):
            yield Step(Phase.CUT, repair, self.writer.deny_interim(repair, denying(live)))
            condemn = self.writer.condemn_after(repair)
            yield Step(Phase.FINAL, repair, condemn)
            yield from self._delete(repair, condemned_before=False)
            return
        now = self.writer.condemn(repair)
        if now is not None:
            yield Step(Phase.CUT, repair, now)
        yield from self._delete(repair, condemned_before=now is None)

    def _delete(self, repair: Repair, *, condemned_before: bool) -> Iterator[Step]:
        delete = self.writer.delete(repair, condemned_before=condemned_before)
        if delete is not None:
            yield Step(Phase.DELETE, repair, delete)

    def _pivot(self, repair: Repair) -> Iterator[Step]:
        """A Tier or a set."""
        is_tier = repair.ref.kind == "Tier"
        match repair.goal:
            case Goal.EXIST:
                yield Step(Phase.TIER if is_tier else Phase.PIVOT, repair, self.writer.create(repair), 1)
            case Goal.EQUAL:
                rank = 1
                if is_tier:
                    forward = _place(self.writer, repair.wanted()) <= _place(self.writer, repair.present())
                    rank = 0 if forward else 2
                yield Step(Phase.PIVOT, repair, self.writer.replace(repair), rank)
            case Goal.BE_GONE:
                condemn = self.writer.condemn(repair)
                if condemn is not None:
                    yield Step(Phase.PIVOT, repair, condemn, 1)
                yield from self._delete(repair, condemned_before=condemn is None)

    def _is_touched(self, spec: Body) -> bool:
        """Whether a pivot changes what a policy may open: then the policy has to be closed while that happens."""
        return any(self._touches(pivot, spec) for pivot in self._forcing)

    def _touches(self, pivot: Repair, spec: Body) -> bool:
        match pivot.ref.kind:
            case "Tier":
                return bool(spec["tier"] == pivot.ref.name) and opens(spec)
            case "NetworkSet" | "GlobalNetworkSet":
                return any(_is_meant(side, [spec]) for side in (pivot.desired, pivot.live) if side is not None)
            case _:
                return False

    def _note_homes(self) -> None:
        sides: list[Desired | Live] = [one for pair in self.stable for one in pair]
        for repair in self.repairs:
            sides += [one for one in (repair.desired, repair.live) if one is not None]
        for one in sides:
            if self.is_policy(one.ref):
                spec = self.writer.spec_of(one)
                self._homes.setdefault(spec["tier"], []).append((one.ref, homes_of({"spec": spec})))

    def _is_alone(self, ref: ObjectRef, desired: Body) -> bool:
        """Whether no other policy of the tier can apply to the same pods: then there is nothing to pass by.

        Calico's own tiers hold policies of other kinds as well.
        """
        mine = homes_of({"spec": desired})
        if mine is None or desired["tier"] in BUILT_IN_TIERS:
            return False
        others = (homes for other, homes in self._homes.get(desired["tier"], ()) if other != ref)
        return all(homes is not None and not homes & mine for homes in others)

    @staticmethod
    def is_policy(ref: ObjectRef) -> bool:
        return ref.group == CALICO and ref.kind.endswith("NetworkPolicy")


def _is_meant(side: Desired | Live, specs: Iterable[Body]) -> bool:
    """Whether it is a set that rules of these policies may mean."""
    if side.ref.group != CALICO or not side.ref.kind.endswith("NetworkSet"):
        return False
    labels = side.body()["metadata"].get("labels") or {}
    return may_mean([{"spec": spec} for spec in specs], labels, side.ref.namespace)


def _place(writer: Writer, side: Desired | Live) -> float:
    order: float | None = writer.spec_of(side).get("order")
    return inf if order is None else order
