"""What live workloads mean: pods, services, slices and labels judged as they change, beside the scope loop.

Nothing here is ever written to the cluster. Findings are handed to the cycle of their scope, which records, keeps and
closes them like all others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Protocol, TypeVar

import structlog

from driftd.cluster import POD, WORKLOADS, Mirror, Name, News, Pace, WorkloadMirror
from driftd.compile import Compiled
from driftd.drift import (
    Backings,
    Comparison,
    Input,
    KindState,
    World,
    home_inputs,
    label_inputs,
    labels_of,
    pod_inputs,
    relabelled_others,
    relabelled_pods,
)
from driftd.engine.doubt import Doubts
from driftd.engine.living import MOST_NAMES, Changes, Gone, Judged, Living, Unseen, by_shape, of_pods
from driftd.engine.open_findings import OpenFindings
from driftd.policy.kinds import CALICO, EVALUATED
from driftd.policy.reach import Pod
from driftd.telemetry import Metrics
from driftd.values import Body, Finding, FindingType, Live, ObjectRef, Resource, Scope

_log = structlog.get_logger()
_Answer = TypeVar("_Answer")

_TYPES = frozenset({FindingType.RELABELLED, FindingType.EXPOSED, FindingType.MISDIRECTED})
_LABELLED = (("", "Namespace"), ("", "ServiceAccount"))
_SETS = ((CALICO, "NetworkSet"), (CALICO, "GlobalNetworkSet"))
_SETTLE_SECONDS = 0.02
"""Changes come in bursts: a pod is made, scheduled and gets its address within moments."""
_SHARE = 10
"""So many times what a judgement took is the pause before the next, when changes never end..."""
_LONGEST_PAUSE = 0.5
"""...but no longer than this, however long it took: somebody shall know within a second."""
_AGAIN_SECONDS = 5.0


class _Judge(Protocol):
    """Whoever owns the judged world and its thread."""

    async def ask(self, question: Callable[[World], _Answer]) -> _Answer: ...

    def reconsider(self, namespaces: frozenset[str] | None = None) -> None: ...

    def ask_anew(self) -> None: ...


def _is_told_here(finding: Finding) -> bool:
    """Whether findings of this sort are made here. Foreign objects of the whole cluster are compared."""
    return finding.type in _TYPES or (finding.type is FindingType.FOREIGN and bool(finding.ref.namespace))


class WorkloadDrift:
    """Keeps the findings that live workloads give rise to.

    What was told of the cluster (`_wake` and on) lasts as long as the process, what the judged world knows of it
    (`_fed` and on) goes with that world, and what was judged (`_judged_model` and on) is forgotten with a term.

    Args:
        compiled: the model in force, None before there is one.
        judge: asked in turn with the directions of policies: one world, one thread.
        findings: what is open, as of the last cycles.
        changed: told of each scope whose findings are not those of before.
        updated: awaited with each finding that stands and means something else now.
        opened: told of each new finding.
        most_names: of objects that changed or are gone, each, that are remembered.
    """

    def __init__(
        self,
        *,
        workloads: WorkloadMirror,
        mirror: Mirror,
        compiled: Callable[[], Compiled | None],
        judge: _Judge,
        findings: OpenFindings,
        changed: Callable[[Scope], None],
        updated: Callable[[Finding], Awaitable[None]],
        opened: Callable[[Finding], None],
        pace: Pace,
        metrics: Metrics,
        most_names: int = MOST_NAMES,
    ) -> None:
        self._workloads = workloads
        self._mirror = mirror
        self._compiled = compiled
        self._judge = judge
        self._open = findings
        self._tell = changed
        self._updated = updated
        self._opened = opened
        self._pace = pace
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._most_names = most_names
        self._changes = Changes(most=most_names)
        self._gone = Gone(most_names)

        self._fed: World | None = None
        self._pods: Mapping[Name, Pod] = {}
        self._labels: Mapping[ObjectRef, Live | None] = {}
        self._platform: dict[ObjectRef, Body | Pod | None] = {}
        self._doubts = Doubts()
        self._looks_again: float | None = None

        self._judged_model: Compiled | None = None
        self._past_joined = False
        self._namespaces: dict[str, tuple[Finding, ...]] = {}
        self._by_scope: dict[Scope, dict[str, Finding]] = {}
        self._ended: frozenset[str] = frozenset()
        self._behind_since: float | None = None

        workloads.subscribe(self._workload_changed)
        workloads.subscribe_states(self._state_changed)
        mirror.subscribe(self._object_changed)

    # -- asking -----------------------------------------------------------------------------------------------------

    @property
    def judged(self) -> bool:
        """Whether what is known has been held against the model in force."""
        model = self._compiled()
        return model is not None and self._judged_model is model and not self._workloads.not_ready

    @property
    def not_ready(self) -> tuple[str, ...]:
        """Kinds of workloads that cannot be seen now: while there are any, no scope is clean."""
        return self._workloads.not_ready

    @property
    def stuck_seconds(self) -> float:
        """For how long changes that can be seen have waited for a judgement that comes to an end; 0 while none do."""
        return 0.0 if self._behind_since is None else self._pace.clock.monotonic() - self._behind_since

    def added_to(self, comparison: Comparison, compiled: Compiled, today: date) -> Comparison:
        """A comparison with what live workloads mean in its scope.

        While workloads are not known, or not judged yet, what was open stays open.
        """
        exempt = {one.ref for one in compiled.exemptions if today <= one.until}
        known = {one.id: one for one in self._by_scope.get(comparison.scope, {}).values() if one.ref not in exempt}
        if not self.judged:
            held = self._open.of(comparison.scope).values()
            known = {one.id: one for one in held if _is_told_here(one) and one.ref not in exempt} | known
        return replace(comparison, findings=(*comparison.findings, *known.values())) if known else comparison

    # -- what changes -----------------------------------------------------------------------------------------------

    def model_changed(self) -> None:
        """Another model is in force: everything is held against it."""
        self._changes.everything = True
        self._wake.set()

    def world_lost(self) -> None:
        """The judged world is a new one, and knows nothing of what lives."""
        self._changes.everything = True
        self._wake.set()

    def past_known(self) -> None:
        """Findings of before this term have been added to those that are open: none is over before it was judged."""
        self._past_joined, self._judged_model = True, None
        self._changes.everything = True
        self._wake.set()

    def admins_changed(self) -> None:
        """Live admin policies are other ones, or not seen as before: they may go by labels that nobody else reads."""
        self._changes.admins = True
        self._wake.set()

    def policies_changed(self, namespace: str) -> None:
        """A live policy stands open there, or no longer does: pods that are not as the model says may mean more."""
        self._changes.pod((namespace, ""))
        self._wake.set()

    def _workload_changed(self, resource: Resource, name: Name, news: News) -> None:
        namespace, own = name
        if own:
            self._gone.last_told((resource.kind, *name), gone=news is News.GONE)
        elif news is News.UNSEEN:
            self._gone.forget(resource.kind, namespace)  # it may be among those that the list does not name
        if news is News.UNSEEN:
            return
        if resource is POD:
            held = news is News.CHANGED or name in self._pods or name in self._changes.pods
            self._changes.pod(name if held else (namespace, ""))  # the world has none that was never kept
        self._wake.set()

    def _object_changed(self, ref: ObjectRef, before: Live | None, after: Live | None) -> None:
        if (ref.group, ref.kind) in _LABELLED:
            if ref.name:
                gone = before is not None and after is None and self._mirror.is_gone(before)
                self._gone.last_told((ref.kind, ref.namespace, ref.name), gone=gone)
            else:
                self._gone.forget(ref.kind, ref.namespace)  # it may be among those that the list leaves out
            relabelled = labels_of(before) != labels_of(after)
            if relabelled:
                self._changes.label(ref)
            if relabelled or after is None:  # perhaps left out: that not all is known is told as well
                self._wake.set()
        elif (ref.group, ref.kind) in _SETS:
            self._changes.sets = True
            self._wake.set()

    def _state_changed(self, resource: Resource, state: KindState, why: str) -> None:
        _log.info("workloads.state", kind=str(resource), state=state.value, why=why)
        for one in KindState:
            self._metrics.kind_state.labels(str(resource), one.value).set(1 if one is state else 0)
        self._wake.set()

    # -- judging ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Judge what changes until cancelled. A judgement that fails is made again, of everything.

        What was found is forgotten then: until another term another leader may open findings, and close them.
        """
        self._changes.everything = True
        self._wake.set()
        pause = _SETTLE_SECONDS
        try:
            while True:
                await self._wake.wait()
                await self._pace.sleep(pause)
                self._wake.clear()
                pause = await self._judge_changes()
        finally:
            self._behind_since = self._judged_model = None
            self._namespaces, self._by_scope, self._ended = {}, {}, frozenset()

    async def _judge_changes(self) -> float:
        """Judge what has changed; the pause in seconds until the next time."""
        model = self._compiled()
        if model is None:
            self._behind_since = None
            return _SETTLE_SECONDS
        began, changes = self._pace.clock.monotonic(), Changes(everything=False, most=self._most_names)
        try:
            if self._workloads.not_ready:
                self._behind_since = None  # what cannot be seen is another trouble
                await self._out_of_sight()
                return _SETTLE_SECONDS
            if self._behind_since is None:
                self._behind_since = began
            changes, self._changes = self._changes, changes
            await self._judge_all(model, changes)
        except Exception:  # noqa: BLE001 - the supervisor of this loop: one odd pod must not end driftd
            _log.exception("workloads.not_judged", again_in=_AGAIN_SECONDS)
            self._changes.again(changes)
            self._wake.set()
            return _AGAIN_SECONDS
        except BaseException:  # cancelled: the next term's world is this one, as far as it came
            self._changes.again(changes)
            raise
        self._behind_since = None
        return min(_LONGEST_PAUSE, max(_SETTLE_SECONDS, (self._pace.clock.monotonic() - began) * _SHARE))

    async def _out_of_sight(self) -> None:
        """Who stands behind a Service is not known now."""
        if self._fed is not None:
            await self._judge.ask(lambda world: world.surround(None))

    async def _judge_all(self, model: Compiled, changes: Changes) -> None:
        pods, labels = self._workloads.pods.copy(), self._of_kinds(_LABELLED)
        if changes.everything:  # what the world has is looked at as well: it may be gone
            changes.pods |= self._pods.keys()
            changes.labelled |= self._labels.keys()
        self._pods, self._labels = pods, dict.fromkeys(labels)
        self._past_joined = False
        live = Living(
            compiled=model,
            changes=changes,
            pods=pods,
            services=tuple(self._workloads.services.values()),
            slices=tuple(self._workloads.slices.values()),
            labelled={ref: self._mirror.get(ref) for ref in changes.labelled} | labels,
            sets=self._of_kinds(_SETS),
            beyond=self._workloads.beyond | (self._mirror.left_out() if model.dialect == "calico" else frozenset()),
            open=self._not_over(),
            at=self._pace.clock.monotonic(),
        )
        needless = not (live.pods or live.beyond or model.coverage.selector_keys or self._of_kinds(EVALUATED))
        if self._fed is None and model.dialect != "calico" and needless:
            judged = Judged(
                {}, tuple(by_shape(live, Unseen(live)))
            )  # nothing lives that a world would have to be made for
        else:
            judged = await self._judge.ask(lambda world: self._look(world, live))
        if self._compiled() is not model or self._past_joined:
            self._changes.again(changes)  # it changed meanwhile, or more is open than was judged
            self._wake.set()
            return
        everything = changes.everything or self._judged_model is not model
        self._judged_model = model
        self._namespaces = ({} if everything else self._namespaces) | dict(judged.namespaces)
        self._metrics.workloads_judged.set(self._pace.clock.now().timestamp())
        await self._publish(judged.others, live)
        if judged.relabelled:
            self._judge.ask_anew()
        self._judge.reconsider(None if everything or judged.surroundings else frozenset(judged.namespaces))
        if self._looks_again is not None:
            asyncio.get_running_loop().call_later(self._looks_again, self._wake.set)

    def _of_kinds(self, kinds: Collection[tuple[str, str]]) -> dict[ObjectRef, Live]:
        found: dict[ObjectRef, Live] = {}
        for resource in self._mirror.states():
            if resource.key in kinds:
                found |= self._mirror.of_kind(resource).copy()
        return found

    def _look(self, world: World, live: Living) -> Judged:
        """In the thread of the world."""
        model = live.compiled
        everything = live.changes.everything or world is not self._fed
        labels = everything or live.changes.admins
        names = {*live.pods, *live.changes.pods} if everything else live.changes.pods
        refs = live.labelled.keys() if labels else live.changes.labelled
        homes = list(home_inputs(model, live.labelled, refs, world.admin_keys, world.homes))
        others = list(label_inputs(model, live.labelled, refs, world.admin_keys))
        world.observe([*homes, *pod_inputs(model, live.pods, names), *others])
        relabelled = self._platform_relabelled(model, others) or bool(homes)
        surroundings = self._surround(world, live, everything=everything) or live.changes.admins or relabelled
        self._fed = world
        touched = set(model.governed) if everything or surroundings else {namespace for namespace, _ in names}
        touched |= {ref.namespace for ref in refs if ref.kind == "ServiceAccount"}
        unseen = Unseen(live)
        told = tuple(by_shape(live, unseen, relabelled_others(model, world)))
        found = {one: relabelled_pods(model, world, one) for one in touched if one in model.governed}
        return Judged(of_pods(live, unseen, found), told, surroundings, relabelled)

    def _platform_relabelled(self, model: Compiled, inputs: Iterable[Input]) -> bool:
        """Whether labels of a namespace of the platform are not what they were when it was looked at before."""
        platform = {*model.platform, *model.peers}
        now = {one.ref: one.live for one in inputs if one.ref.kind == "Namespace" and one.ref.name in platform}
        before, self._platform = self._platform, self._platform | now
        return any(ref in before and before[ref] != body for ref, body in now.items())

    def _surround(self, world: World, live: Living, *, everything: bool) -> bool:
        """Tell the world what Calico's rules refer to. An address that is nobody's yet waits for its pod."""
        unknown = frozenset(namespace for resource, namespace in live.beyond if resource in WORKLOADS)
        backings = Backings.of(live.services, live.slices, live.pods, unknown)
        doubtful = backings.in_doubt(live.compiled, world.services_named)
        fresh = self._doubts.look(doubtful, live.at)
        self._looks_again = min(fresh.values(), default=None)
        sets = None
        if everything or live.changes.sets:
            sets = {ref: {**one.body(), **({"spec": None} if one.hollow else {})} for ref, one in live.sets.items()}
        return world.surround(backings.settled(frozenset(fresh)), sets)

    def _not_over(self) -> dict[str, Finding]:
        """What is open, or was told, of what is told here, but for what is known to be over."""
        told = (one for found in self._by_scope.values() for one in found.values())
        earlier = {one.id: one for one in (*self._open.all(), *told) if one.type in _TYPES}
        refs = {id: one.ref for id, one in earlier.items()}
        self._ended |= {id for id, ref in refs.items() if (ref.kind, ref.namespace, ref.name) in self._gone}
        return {id: one for id, one in earlier.items() if id not in self._ended}

    async def _publish(self, others: Iterable[Finding], live: Living) -> None:
        """Make this what is known, and tell of each scope where it is something else."""
        now: dict[Scope, dict[str, Finding]] = {}
        for finding in (*others, *(one for found in self._namespaces.values() for one in found)):
            here = now.setdefault(finding.scope, {})
            known = here.get(finding.id)
            if known is None or finding.severity.rank < known.severity.rank:
                here[finding.id] = finding
        told = frozenset[str]().union(*now.values())
        self._ended = self._ended.union(live.open).intersection(one.id for one in self._open.all()) - told
        before, self._by_scope = self._by_scope, now
        open_ = {scope for scope in self._open.scopes() if any(map(_is_told_here, self._open.of(scope).values()))}
        for scope in before.keys() | now.keys() | open_:
            was = {
                **{id: one for id, one in self._open.of(scope).items() if _is_told_here(one)},
                **before.get(scope, {}),
            }
            here = now.get(scope, {})
            if was.keys() != here.keys():
                self._tell(scope)
            for id, finding in here.items():
                if id not in was:
                    self._opened(finding)
                elif was[id] != finding:
                    await self._updated(finding)
