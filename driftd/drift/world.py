"""The canonical world as reachability sees it, and what each difference does to it (D5)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from driftd.compile import Compiled
from driftd.drift.admins import NO_ADMIN_POLICIES, AdminPolicies, Admitted, admitted
from driftd.drift.entitled import Input
from driftd.drift.foreign import Found, sets_of_others
from driftd.drift.meaning import MOST_STANDING, UNJUDGED, Difference, Judgement, is_admin_policy, work_of, worse
from driftd.drift.modelled import objects_of, surroundings_of, tenancy_of
from driftd.drift.served import Backed, Backings, Name
from driftd.drift.steps import (
    REF_OF_PODS,
    WEAR,
    beside,
    edit_of,
    inputs_edit,
    is_calicos,
    is_calicos_policy,
    own_meaning,
    policies_edit,
    together,
    width,
)
from driftd.drift.words import shown
from driftd.policy.kinds import other_spelling
from driftd.policy.reach import Dialect, Edit, Pod, Snapshot, align, apply, delta, judge, services_of, snapshot_of
from driftd.values import CLUSTER, Body, Direction, FindingType, ObjectRef, scope_of


class World:
    """Snapshots of what the model wants, and of that together with everything that differs now. One thread at a time.

    Three states of one cluster: `canonical` has the model's policies, and of what lives only what the model entitles it
    to; `labelled` has the model's policies and all that lives as it is; `standing` has the live policies as well.
    Live admin policies, which no model has, are in the last alone, as perhaps enforced.

    Beside live pods stand the model's own: one for each workload and each selector of its policies, one without labels
    in each namespace, and those that could be made are imagined by the engine. So a direction holds for the model's
    workloads whatever runs today. A pod selector in a namespace that is not governed counts as the whole namespace:
    its owner chooses the labels.
    """

    def __init__(self, compiled: Compiled, canonical: Snapshot | None = None) -> None:
        """`canonical`: the model as another world has read it already."""
        self._compiled = compiled
        self.tenancy = tenancy_of(compiled)
        dialect, governed = Dialect(compiled.dialect), frozenset(compiled.governed)
        around = surroundings_of(compiled)
        if canonical is None:
            self._canonical = snapshot_of(objects_of(compiled), dialect, around, governed)
        else:
            self._canonical = align(canonical, onto=Snapshot.empty(dialect, around, governed))
        self._first = self.size
        self._swept = 0
        self._labelled = self._canonical
        self._standing = self._canonical
        self._open: dict[ObjectRef, _Open] = {}
        self._astray: set[str] = set()
        self._others: dict[ObjectRef, Input] = {}
        self._admitted = NO_ADMIN_POLICIES
        self._admins = Admitted()
        self.homes: dict[ObjectRef, Body] = {}
        """Governed namespaces that live with labels by which admin policies go and the model does not."""
        self._backings: Backings | None = None
        self._sets: Mapping[ObjectRef, Body] = {}
        self._taken = _NOTHING_TAKEN
        self._judged_strays: dict[tuple[int | None, int | None], Judgement] = {}
        self._judged_against: tuple[Snapshot, Snapshot] | None = None
        self.edits = 0
        """Steps taken so far."""

    @property
    def worn(self) -> bool:
        """Whether to renew it: what was tried, and who came and went, is told apart for good, at a cost for all."""
        return self.edits > _WORN or self.size > _GROWN * self._first + _FEW

    @property
    def size(self) -> int:
        """How many classes of endpoints are told apart by now."""
        return self._canonical.core.endpoints.size

    def _sweep(self) -> None:
        """Let go of what was tried, every now and then."""
        if self.edits - self._swept > _SWEPT:
            self._swept = self.edits
            self._canonical.core.keep_only((self._canonical, self._labelled, self._standing))

    def renewed(self) -> "World":
        """The same world with empty caches. This one has let go of its own by then, and can judge no more."""
        self._canonical, self._labelled = self._canonical.content(), self._labelled.content()
        self._standing, self._judged_against = self._labelled, None
        fresh = World(self._compiled, self._canonical)
        fresh._labelled = fresh._standing = align(self._labelled, onto=fresh._canonical)
        fresh._astray, fresh._others, fresh.homes = self._astray, self._others, self.homes
        fresh.admit(self._admitted)
        fresh._backings, fresh._sets, fresh._taken = self._backings, self._sets, self._taken
        for ref, one in self._open.items():
            fresh._stand(ref, one.edit, one.work)
        fresh.edits, fresh._first = 0, fresh.size  # what stands open is no wear, or it would be renewed for ever
        return fresh

    def observe(self, inputs: Sequence[Input]) -> None:
        """Take in what lives: pods of governed namespaces, service accounts, namespaces whose labels may count."""
        if not inputs:
            return
        size = self.size
        self._canonical = apply(self._canonical, inputs_edit((one.ref, one.wanted) for one in inputs))
        self._labelled = apply(self._labelled, inputs_edit((one.ref, one.live) for one in inputs))
        if self._as_labelled:
            self._standing = self._labelled
        else:  # a governed namespace that differs stands there as it is
            moved = ((one.ref, one.live) for one in inputs if one.ref not in self._open or one.ref.kind != "Namespace")
            self._standing = apply(self._standing, inputs_edit(moved))
        self.edits += 1
        self._first += self.size - size if len(inputs) > _FEW else 0  # a look at everything is no wear
        for one in inputs:
            if one.ref.kind == "Pod":
                continue
            if one.ref.name in self._compiled.governed and isinstance(one.live, dict) and one.ref.kind == "Namespace":
                self.homes[one.ref] = one.live
            if one.wanted == one.live and not one.unknown:
                self._others.pop(one.ref, None)
            else:
                self._others[one.ref] = one
        self._look_astray({one.ref.namespace or one.ref.name for one in inputs})

    def _look_astray(self, namespaces: Iterable[str]) -> None:
        """Find out which of these have a pod that is not as the model entitles it to be."""
        for namespace in namespaces:
            mine, theirs = (one.namespaces.get(namespace) for one in (self._canonical, self._labelled))
            differs = (mine.classes if mine else {}) != (theirs.classes if theirs else {})
            (self._astray.add if differs else self._astray.discard)(namespace)

    # -- admin policies ----------------------------------------------------------------------------------------------

    @property
    def admin_keys(self) -> frozenset[str]:
        """Keys of labels by which live admin policies select namespaces."""
        return self._admins.keys

    def admit(self, policies: AdminPolicies) -> None:
        """Judge in the presence of these admin policies from here on. At most all pods of the cluster are planned anew.

        While some cannot be seen, what differs in the policies is UNKNOWN.
        """
        if policies is self._admitted:
            return
        before, self._admitted = self._admins, policies
        self._admins = admitted(policies, Dialect(self._compiled.dialect))
        edit = policies_edit(before.taken, self._admins.taken)
        told = Edit(mention=tuple(body for body in edit.put if isinstance(body, dict)))
        self._canonical, self._labelled = apply(self._canonical, told), apply(self._labelled, told)
        self._standing = self._labelled if self._as_labelled else apply(self._standing, edit)
        self.edits += 1 + len(edit.put)
        self._look_astray(self._canonical.namespaces.keys() | self._labelled.namespaces.keys())
        self._canonical.core.keep_only((self._canonical, self._labelled, self._standing))

    @property
    def _as_labelled(self) -> bool:
        """Whether the standing cluster is the labelled one: nothing stands open, and there are no admin policies."""
        return not (self._open or self._admins.taken)

    def _judged_admin(self, difference: Difference) -> Judgement:
        """What one does: against the world without it, and the same beside all that stands open."""
        ref, live = difference.ref, difference.live
        if live is None or ref in self._admins.beyond:
            return UNJUDGED
        alike = not (self._open or self._admins.taken.keys() - {ref} or self._astray or self._others)
        states = (self._canonical,) if alike else (self._canonical, self._standing)
        without, with_it = Edit(remove=(ref,)), Edit(put=(live.body(),))
        steps = [(apply(state, without), apply(state, with_it)) for state in states]
        self.edits += len(steps)
        return reduce(worse, (self._between(*one) for one in steps))

    # -- what Calico's rules refer to ------------------------------------------------------------------------------

    @property
    def services_named(self) -> frozenset[Name]:
        """The Services that rules go by now, canonical ones and those of policies that stand open."""
        return frozenset().union(*map(services_of, self._policies()))

    def knows(self, service: Name) -> bool:
        """Whether it is known who stands behind a Service that rules go by."""
        return service in self._taken.backed.known

    def surround(self, backings: Backings | None, sets: Mapping[ObjectRef, Body] | None = None) -> bool:
        """Take in who stands behind Services (None: not known now) and, where given, the network sets of others.

        What is taken in are those to which some rule refers. Returns whether these are others than before.
        """
        self._backings = backings
        self._sets = self._sets if sets is None else sets
        return self._take_in()

    def _policies(self) -> Iterator[Body]:
        yield from self._canonical.cluster.bodies.values()
        for standing in self._open.values():
            yield from (one for one in standing.edit.put if isinstance(one, dict) and is_calicos_policy(one))

    def _take_in(self) -> bool:
        before = self._taken
        if self._backings is None:  # what was known stays as last seen
            self._taken = _Taken(replace(before.backed, known=frozenset(), overgrown=()), before.found)
            return self._taken != before
        backed = self._backings.backed(self._compiled, self.services_named)
        found = sets_of_others(self._compiled, self._sets, list(self._policies())) if self._sets else Found({})
        self._taken = _Taken(backed, found)
        old, new = before.inputs, self._taken.inputs
        changed = [one for ref, one in new.items() if old.get(ref) != one]
        changed += [Input(ref, None, None) for ref in old if ref not in new]
        self.observe(changed)
        self.edits += sum(map(width, changed))
        return self._taken != before

    # -- what is not as the model says -----------------------------------------------------------------------------

    def stray_pods(self, namespace: str) -> Iterator[tuple[Pod, Judgement]]:
        """Live pods of a namespace that policies tell from what the model entitles them to, and what that does."""
        mine, theirs = (one.namespaces.get(namespace) for one in (self._canonical, self._labelled))
        if namespace not in self._astray or mine is None or theirs is None:
            return
        now = (self._canonical, self._standing)
        if self._judged_against is None or any(a is not b for a, b in zip(now, self._judged_against, strict=True)):
            self._judged_strays, self._judged_against = {}, now
        for name, pod in theirs.pods.items():
            pair = (mine.classes.get(name), theirs.classes.get(name))
            if pair[0] == pair[1]:
                continue
            if pair not in self._judged_strays:
                self._judged_strays[pair] = self._stray(Input(REF_OF_PODS, mine.pods.get(name), pod))
            yield pod, self._judged_strays[pair]

    def stray_others(self) -> Iterator[tuple[ObjectRef, Judgement]]:
        """The same for service accounts, for namespaces, and for what Calico's rules refer to."""
        answering = self._taken.backed.answering
        for ref, one in self._others.items():
            if ref.kind != "GlobalNetworkSet":  # that is compared, or what finds it is to blame
                yield answering.get(ref, ref), self._stray(one)
        for ref in (*self._taken.backed.overgrown, *self._taken.found.beyond):
            yield ref, UNJUDGED

    def _stray(self, one: Input) -> Judgement:
        """What an input does by itself, and together with the policies that stand open."""
        if one.unknown:
            return UNJUDGED
        steps = [(self._canonical, apply(self._canonical, inputs_edit([(one.ref, one.live)])))]
        if not self._as_labelled:
            steps.append((apply(self._standing, inputs_edit([(one.ref, one.wanted)])), self._standing))
        return reduce(worse, (self._between(*step) for step in steps))

    def _between(self, before: Snapshot, after: Snapshot, among: frozenset[str] | None = None) -> Judgement:
        found = judge(before, after, self.tenancy, among=among)
        witness = found.witness
        if witness is not None:  # owners of pods are free text
            witness = replace(witness, source=shown(witness.source), target=shown(witness.target))
        told = Judgement(
            found.direction, witness, found.crosses_tenant, found.dialect.value, found.within, found.neutral_now
        )
        unread = after.cluster.unread.keys() - before.cluster.unread.keys()
        return worse(told, UNJUDGED) if unread else told  # it counts for nothing, and nobody knows what it means

    def judge(self, differences: Iterable[Difference]) -> dict[ObjectRef, Judgement]:
        """What each difference does: alone, and together with all that stand open (a hole may need two of them).

        Of those for which there is no room beside others of the same tenant nothing is known, and they do not stand.
        """
        wanted = [one for one in differences if one.type is not FindingType.UNDELETABLE]
        beyond = self.stand(wanted)
        if any(is_calicos(one.ref) for one in wanted):
            self._take_in()
        self._sweep()
        return {one.ref: UNJUDGED if one.ref in beyond else self._judged(one) for one in wanted}

    def stand(self, differences: Iterable[Difference]) -> frozenset[ObjectRef]:
        """Have differences stand; those for which there is no room."""
        beyond = set()
        for one in differences:
            edit = edit_of(one)
            if edit is None:
                continue
            work = work_of(one)
            if work and work + self._standing_beside(one.ref) > MOST_STANDING:
                self.settle([one.ref])  # an earlier version of it, if any
                beyond.add(one.ref)
            else:
                self._stand(one.ref, edit, work)
        return frozenset(beyond)

    def _standing_beside(self, ref: ObjectRef) -> int:
        """The work of all else that stands open of the tenant of an object."""
        mine = self.tenancy.tenant(ref.namespace)
        others = ((other, one.work) for other, one in self._open.items() if other != ref)
        return sum(work for other, work in others if self.tenancy.tenant(other.namespace) == mine)

    def opens(self, difference: Difference) -> bool:
        """Have it stand; whether that opens anything between pods that are there. Pods to come are left out."""
        edit = edit_of(difference)
        if edit is None:
            return False
        before = self._standing
        self._stand(difference.ref, edit, 0)
        if self._goes_by_the_unknown(difference):
            return True
        return delta(before, self._standing).direction.may_loosen

    def settle(self, refs: Iterable[ObjectRef]) -> None:
        """These objects are canonical again."""
        for ref in refs:
            if self._open.pop(ref, None) is not None:
                settled = self._labelled if self._as_labelled else apply(self._standing, self._settled(ref))
                self._standing = settled
                if is_calicos(ref):
                    self._take_in()

    def _stand(self, ref: ObjectRef, edit: Edit, work: int) -> None:
        self._standing = apply(self._standing, edit)
        self._open[ref] = _Open(edit, work)
        self.edits += 1 + work // WEAR

    def _judged(self, difference: Difference) -> Judgement:
        if is_admin_policy(difference.ref):
            effect = self._judged_admin(difference)
            return effect if self._admins.seen else worse(effect, UNJUDGED)
        own = own_meaning(difference)
        standing = self._open.get(difference.ref)
        if standing is None:
            return own or Judgement(Direction.NEUTRAL, crosses_tenant=False, dialect=self._compiled.dialect)
        found = self._between(self._canonical, apply(self._canonical, standing.edit))
        if len(self._open) > 1 or self._astray or self._others or self._admins.taken:
            among = beside(difference.ref, (*self._open, *self._others), self._astray, self._canonical, self._standing)
            without = apply(self._standing, self._back(difference.ref))
            found = together(found, self._between(without, self._standing, among), partly=among is not None)
        if self._goes_by_the_unknown(difference) or not self._admins.seen:
            found = worse(found, UNJUDGED)
        return worse(own, found) if own else found

    def _goes_by_the_unknown(self, difference: Difference) -> bool:
        """Whether a rule goes by a Service of which it is not known who stands behind it."""
        sides = [side for side in (difference.live, difference.desired) if side is not None and is_calicos(side.ref)]
        return not all(services_of(side.body()) <= self._taken.backed.known for side in sides)

    def _settled(self, ref: ObjectRef) -> Edit:
        """The edit with which an object no longer stands open; a set of others may live on."""
        other = self._others.get(ref)
        return self._back(ref) if other is None else inputs_edit([(ref, other.live)])

    def _back(self, ref: ObjectRef) -> Edit:
        """The edit that makes an object canonical again."""
        scope = scope_of(ref)
        governed = self._compiled.cluster_wide if scope == CLUSTER else self._compiled.governed.get(scope.namespace)
        objects = governed.objects if governed else {}
        desired = objects.get(ref) or objects.get(other_spelling(ref) or ref)
        if ref in self.homes:
            return Edit(put=(self.homes[ref],))
        if desired is None:
            return Edit(remove=(ref,))
        return Edit(put=(desired.body(),), remove=(ref,) if desired.ref != ref else ())


@dataclass(frozen=True, slots=True)
class _Open:
    """What stands open of an object: the step from canonical to live, and how much there is to judge of it."""

    edit: Edit
    work: int


@dataclass(frozen=True, slots=True)
class _Taken:
    """What of the surroundings is in the world."""

    backed: Backed
    found: Found

    @property
    def inputs(self) -> dict[ObjectRef, Input]:
        return {**self.backed.inputs, **self.found.inputs}


_WORN = 2000
"""Steps after which a world is renewed..."""
_GROWN, _FEW = 1.25, 1000
"""...or once so many times what it began with, and so many more, are told apart: every bitset grows with it."""
_SWEPT = 100
"""Steps after which what was tried is let go of."""
_NOTHING_TAKEN = _Taken(Backed({}, frozenset()), Found({}))
