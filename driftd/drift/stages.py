"""The order of writes in which no moment is looser than before or after (D7).

Why it holds. Let a pod's *allowance* be what it may send, or receive: everything while no policy isolates it in that
direction, else the union of the rules of the policies that select it. A flow needs an allowance at both ends, so two
half-done repairs may meet and open what neither state allowed. Therefore every allowance first only shrinks, until
it is within the canonical one (`tightening`), and then only moves within the canonical one (`opening`, `deleting`). The
first half leaves subsets of the flows before, the second subsets of the canonical flows. Where a single object
differs there is no state between, and it is written at once.

A Namespace that differs waits for the cuts: its labels decide whom the rules of other policies mean, so putting them
back may open what a rule that is not canonical allows.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from driftd.drift.cuts import Isolation
from driftd.drift.repair import Goal, Repair, Sides, Writer, bears_flows
from driftd.drift.tiered import Phase, Tiered, is_pivot, only_denies
from driftd.policy.kinds import CALICO, MalformedObject
from driftd.values import Desired, Live, ObjectRef, Plan, Scope, Write

MOST_WRITES = 128
"""Writes of one plan at most, so that no scope holds a worker for long; the rest is planned again after a fresh look.

A plan may be cut anywhere: it can be given up after each of its writes and made again, and stays never-looser.
"""


class _Step(IntEnum):
    """Steps of the opening half."""

    PIVOT = 0
    NAMESPACE = 1
    CREATE = 2
    REPLACE = 3  # after the creates: a replaced policy may let go of pods that a created one has to isolate


@dataclass(slots=True)
class Stages:
    """Collects the writes of all repairs of a scope; used once. `ranks` are those of findings, 0 for the worst."""

    writer: Writer
    scope: Scope
    waiting: frozenset[ObjectRef]
    held: list[str]
    ranks: Mapping[str, int] = field(default_factory=dict)
    _waiting: dict[ObjectRef, str] = field(default_factory=dict)
    _home: list[Write] = field(default_factory=list)
    _tightening: list[Write] = field(default_factory=list)
    _opening: list[tuple[_Step, int, ObjectRef, Write]] = field(default_factory=list)
    _deleting: list[Write] = field(default_factory=list)

    def unreadable(self, repairs: list[Repair]) -> Iterator[ObjectRef]:
        """Drop the repairs whose object is not one of its kind, so that one of them does not stop all others."""
        for repair in tuple(repairs):
            try:
                self.writer.check(repair)
            except MalformedObject as fault:
                repairs.remove(repair)
                self.held.append(f"{repair.ref} cannot be written: {fault}")
                yield repair.ref

    def plan(
        self,
        repairs: Sequence[Repair],
        skipped: Sequence[Repair],
        *,
        unknown: Collection[ObjectRef],
        stable: Sequence[tuple[Desired, Live]],
        unwritable: Collection[ObjectRef] = frozenset(),
        left: Iterable[Sides] = (),
        passing: Collection[ObjectRef] = (),
    ) -> Plan:
        """Order the repairs.

        `skipped` are repairs that cannot be done now, and `unknown` objects in a state that nobody knows: while one of
        them may allow more than it should, nothing is opened, so what stands is not closed either. `stable` are
        canonical objects that stand and stay, with what lives of them; those among `unwritable` cannot be closed.
        `left` are objects that differ and that nobody means to write, or can. What waits for one of `passing` alone is
        not told: that is over without anybody's doing.
        """
        together = [one for one in repairs if _must_wait_for_others(one)]
        cover = _Cover(self.writer, [*(desired for desired, _ in stable), *self._kept_selections(together)])
        doubts = [ref for ref in unknown if bears_flows(ref)]
        doubts += [one.ref for one in skipped if self._is_looser(one, cover)]
        several = len(together) + len(doubts) > 1  # a single write needs nothing closed meanwhile
        fought = [one.ref for one in together if several and one.ref in self.waiting and is_pivot(one, self.writer)]
        left = [*left, *((one.desired, one.live) for one in skipped if not only_denies(one, self.writer))]
        seen = {live.ref for _, live in left if live is not None}
        tiered = self._tiered(together, stable)
        waiting = tiered.impossible(unwritable if several else (), left, [ref for ref in unknown if ref not in seen])
        doubts += [one.ref for one in together if one.ref in waiting and self._is_looser(one, cover)]
        lasting = [ref for ref in doubts if ref not in passing]
        causes = [*lasting, *(ref for ref in doubts if ref in passing), *fought]
        put_off = {**(tiered.closing(causes[0]) if causes else {}), **waiting}
        self.held += [f"{ref} waits: {words}" for ref, words in put_off.items()]
        together = [one for one in together if one.ref not in put_off]
        if several:
            self._in_stages(together, causes, cover)
            self._in_tiers(together, causes, stable)
        else:
            self._at_once(together)
        self._at_once([one for one in repairs if not _must_wait_for_others(one)])
        opening = [write for *_, write in sorted(self._opening, key=lambda entry: entry[:3])]
        writes = (*self._home, *self._tightening, *opening, *self._deleting)
        if len(writes) > MOST_WRITES:
            self.held.append(f"more than {MOST_WRITES} writes: the others wait for the next look")
        told = {**self._waiting, **put_off} if lasting else waiting
        return Plan(scope=self.scope, writes=writes[:MOST_WRITES], held=tuple(self.held), waiting=told)

    def _at_once(self, repairs: Sequence[Repair]) -> None:
        for repair in repairs:
            if self._waits(repair, ()):
                continue
            match repair.goal:
                case Goal.EXIST if repair.ref.kind == "Namespace":
                    self._home.append(self.writer.create(repair))
                case Goal.EXIST:
                    self._open(_Step.CREATE, repair, self.writer.create(repair))
                case Goal.EQUAL:
                    self._open(_Step.REPLACE, repair, self.writer.replace(repair))
                case Goal.BE_GONE:
                    self._remove(repair, self._deleting, ())

    def _in_stages(self, repairs: Sequence[Repair], doubts: Sequence[ObjectRef], cover: "_Cover") -> None:
        if all(one.ref in self.waiting for one in repairs):
            for repair in repairs:
                self._waits(repair, ())
            return
        here = (one for one in repairs if one.bears_flows and one.ref.group != CALICO)
        flows = sorted(here, key=self._urgency)
        for repair in flows:
            if len(self._tightening) >= MOST_WRITES:
                break  # nothing after these would be written: no use in making thousands of bodies
            match repair.goal:
                case Goal.EXIST:
                    self._make(repair, doubts, cover)
                case Goal.EQUAL:
                    self._put_back(repair, doubts)
                case Goal.BE_GONE:
                    self._remove(repair, self._tightening, doubts)
        for repair in repairs:
            if not repair.bears_flows and not self._waits(repair, doubts):
                self._open(_Step.NAMESPACE, repair, self.writer.replace(repair))

    def _in_tiers(
        self, repairs: Sequence[Repair], doubts: Sequence[ObjectRef], stable: Sequence[tuple[Desired, Live]]
    ) -> None:
        """The same for Calico's kinds, whose rules stand in an order (`tiered.py`)."""
        if all(one.ref in self.waiting for one in repairs):
            return
        for step in sorted(self._tiered(repairs, stable).steps(), key=lambda one: one.phase):
            if step.phase < Phase.PIVOT:
                self._tightening.append(step.write)
            elif self._waits(step.repair, doubts):
                continue
            elif step.phase is Phase.DELETE:
                self._deleting.append(step.write)
            else:
                when = _Step.PIVOT if step.phase is Phase.PIVOT else _Step.REPLACE
                self._opening.append((when, step.rank, step.repair.ref, step.write))

    def _tiered(self, repairs: Sequence[Repair], stable: Sequence[tuple[Desired, Live]]) -> Tiered:
        namespaces = sum(one.ref.kind == "Namespace" for one in repairs)
        return Tiered(self.writer, [one for one in repairs if one.ref.group == CALICO], stable, namespaces)

    def _make(self, repair: Repair, doubts: Sequence[ObjectRef], cover: "_Cover") -> None:
        if self.writer.isolates_only(repair.wanted()):
            self._tightening.append(self.writer.create(repair))
        elif cover.isolates(repair.wanted()):
            if not self._waits(repair, doubts):
                self._open(_Step.CREATE, repair, self.writer.create(repair))
        else:
            self._tightening.append(self.writer.create_without_rules(repair))
            if not self._waits(repair, doubts):
                self._open(_Step.REPLACE, repair, self.writer.replace_after(repair))

    def _put_back(self, repair: Repair, doubts: Sequence[ObjectRef]) -> None:
        cut = self.writer.cut(repair)
        if cut is not None:
            self._tightening.append(cut)
            if not cut.interim:
                return
        if not self._waits(repair, doubts):
            final = self.writer.replace(repair) if cut is None else self.writer.replace_after(repair)
            self._open(_Step.REPLACE, repair, final)

    def _remove(self, repair: Repair, condemning: list[Write], doubts: Sequence[ObjectRef]) -> None:
        condemn = self.writer.condemn(repair)
        if condemn is not None:
            condemning.append(condemn)
        delete = self.writer.delete(repair, condemned_before=condemn is None)
        if delete is None:
            self.held.append(f"{repair.ref} is being deleted by somebody else already")
        elif not self._waits(repair, doubts):
            self._deleting.append(delete)

    def _open(self, step: _Step, repair: Repair, write: Write) -> None:
        self._opening.append((step, repair.kind.rank, repair.ref, write))

    def _waits(self, repair: Repair, doubts: Sequence[ObjectRef]) -> bool:
        """Whether the opening half of a repair has to wait; says so in `held`, and for what in `_waiting`."""
        if doubts:
            words = f"opens no more until {doubts[0]} is proved absent or can be put right"
            self.held.append(f"{repair.ref} {words}")
            self._waiting[repair.ref] = f"it {words}"
            return True
        if repair.ref in self.waiting:
            self.held.append(f"{repair.ref} waits: it is being changed back and forth, and its drift opens nothing")
            return True
        return False

    def _urgency(self, repair: Repair) -> tuple[int, int, ObjectRef]:
        """What is known to be worst first (not known ranks as worst).

        Of equals the isolators, since they close most; then what the model does not have; then the other cuts.
        """
        rank = self.ranks.get(repair.finding, 0)
        if repair.goal is Goal.BE_GONE:
            return rank, 1, repair.ref
        return rank, (0 if self.writer.isolates_only(repair.wanted()) else 2), repair.ref

    def _is_looser(self, repair: Repair, cover: "_Cover") -> bool:
        """Whether an object that is left as it is may allow what the canonical one does not."""
        if not repair.bears_flows:
            return _must_wait_for_others(repair)
        if repair.ref.group == CALICO:
            if repair.goal is Goal.BE_GONE:
                return not self.writer.is_emptied(repair)
            return not only_denies(repair, self.writer)
        match repair.goal:
            case Goal.EXIST:
                return self.writer.isolates_only(repair.wanted()) or not cover.isolates(repair.wanted())
            case Goal.EQUAL:
                return self.writer.cut(repair) is not None
            case Goal.BE_GONE:
                return not self.writer.is_emptied(repair)

    def _kept_selections(self, repairs: Sequence[Repair]) -> Iterator[Desired]:
        """Canonical objects among the repairs whose pods stay isolated from their first write to their last."""
        for repair in repairs:
            if not repair.bears_flows:
                continue
            match repair.goal:
                case Goal.EQUAL:
                    stays = not repair.present().terminating
                case Goal.EXIST:
                    stays = self.writer.isolates_only(repair.wanted())
                case Goal.BE_GONE:
                    stays = False
            if stays:
                yield repair.wanted()


class _Cover:
    """What isolates pods all through the plan, whatever is written."""

    def __init__(self, writer: Writer, kept: Iterable[Desired]) -> None:
        self._writer = writer
        self._kept = kept
        self._isolations: list[Isolation] | None = None

    def isolates(self, desired: Desired) -> bool:
        """Whether all pods of a canonical object stay isolated in its directions without it."""
        mine = self._writer.isolation(desired)
        if mine is None:
            return True  # a kind that is not cut by rules has no interim form
        if self._isolations is None:
            found = (self._writer.isolation(one) for one in self._kept)
            self._isolations = [one for one in found if one is not None]
        return all(any(one.reaches(mine, direction) for one in self._isolations) for direction in mine.types)


def _must_wait_for_others(repair: Repair) -> bool:
    return repair.bears_flows or (repair.ref.kind == "Namespace" and repair.goal is Goal.EQUAL)
