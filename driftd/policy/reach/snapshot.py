"""A snapshot: everything that decides who can reach whom, immutable, with point queries; edits give new ones."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from driftd.policy.reach import relation
from driftd.policy.reach.addresses import address, block
from driftd.policy.reach.dialects import Answer, Dialect
from driftd.policy.reach.endpoints import Endpoints, Outside, PodClass, Surroundings
from driftd.policy.reach.inventory import ClusterView, NamespaceView, Plans
from driftd.policy.reach.pods import Pod
from driftd.policy.reach.policies import Action, Flow, Policy, Rule, Tier
from driftd.policy.reach.ports import ALL, NONE, PortSet
from driftd.policy.reach.relation import positions
from driftd.policy.reach.rules import Near, RuleMatcher
from driftd.policy.reach.walk import UNRESTRICTED, Applied, Plan, Verdict
from driftd.policy.reach.watch import Use, Watch
from driftd.values import Body, ObjectRef

NO_PLANS: Final[Plans] = (None, None)


class UnknownEndpoint(LookupError):
    """No pod, workload or address of that name is in the snapshot."""


def is_itself(source: "Pod | str", target: "Pod | str") -> bool:
    """Whether both ends are one pod."""
    return isinstance(source, Pod) and isinstance(target, Pod) and str(source) == str(target)


@dataclass(frozen=True, slots=True)
class Reach:
    """Traffic from one endpoint to another: `must` is allowed in every reading, `may` in some (D12)."""

    must: PortSet
    may: PortSet
    dialect: Dialect

    @property
    def certain(self) -> bool:
        return self.must == self.may

    def __str__(self) -> str:
        text = str(self.must) if self.certain else f"{self.must}; perhaps {self.may - self.must}"
        return f"{text} ({self.dialect})"


@dataclass(frozen=True, slots=True)
class Edit:
    """Objects to put (added, or replacing those of the same identity) and to remove.

    Bodies are Kubernetes objects; kinds that cannot bear on reachability are passed over. A Pod's identity is
    `ObjectRef("", "Pod", namespace, name)`. Removal of what is not there is no error. `mention` has policies that are
    not there and are not put either: by their conditions classes are told apart all the same.
    """

    put: tuple[Body | Pod, ...] = ()
    remove: tuple[ObjectRef, ...] = ()
    mention: tuple[Body, ...] = ()


class Core:
    """What snapshots of one lineage share: classes, matcher and interned plans. Grows only; one thread at a time."""

    def __init__(self, dialect: Dialect, surroundings: Surroundings, governed: frozenset[str] | None) -> None:
        self.dialect = dialect
        self.reading = dialect.reading
        self.endpoints = Endpoints(surroundings)
        self.matcher = RuleMatcher(self.endpoints, self.reading, governed or frozenset())
        self.distrusts = governed is not None
        self.plans: dict[tuple[Flow, tuple[Applied, ...], Near], Plan] = {}
        self.watch = Watch()
        self.applied: dict[tuple[Policy, bool, Tier], Applied] = {}
        self.wide: dict[ObjectRef, Policy] = {}
        """Policies of no namespace as they were read last: states that have one alike share what is planned by it."""
        self._plans_of: dict[Use, list[Plan]] = {}
        self._met = 0

    def plan(self, flow: Flow, applied: tuple[Applied, ...], near: Near) -> Plan:
        """The one plan of that content; policies in the order in which they are asked."""
        key = (flow, applied, near)
        found = self.plans.get(key)
        if found is None:
            found = self.plans[key] = Plan(flow, applied, near)
            self._index(found)
        return found

    def _index(self, plan: Plan) -> None:
        for one in plan.applied:
            self._plans_of.setdefault((one.policy, plan.flow), []).append(plan)

    def keep_only(self, snapshots: "Iterable[Snapshot]") -> None:
        """Let go of the plans that none of these has. No other snapshot of the lineage may be asked any more."""
        views = {id(view): view for one in snapshots for view in one.namespaces.values()}
        kept = {plan for view in views.values() for pair in view.groups for plan in pair}
        self.plans = {key: plan for key, plan in self.plans.items() if plan in kept}
        self._plans_of = {}
        for plan in self.plans.values():
            self._index(plan)
        applied = {one for plan in self.plans.values() for one in plan.applied}
        self.applied = {key: one for key, one in self.applied.items() if one in applied}

    def verdict(self, plan: Plan | None) -> Verdict:
        """The verdict of a plan over all classes there are."""
        if plan is None:
            return UNRESTRICTED
        if self._met != self.endpoints.size:
            self._meet()
        return plan.verdict(self.matcher)

    def speaking_of(self, bits: int, flow: Flow) -> frozenset[str]:
        """Namespaces of which policies let somebody exchange something with one of these classes; "" stands for all.

        At most too many: policies are asked, whether they are in force or not, and no verdict.
        """
        if bits & (self.matcher.local_sources if flow is Flow.INGRESS else self.matcher.local_targets):
            return frozenset(("",))
        uses = self.watch.concerned(self.matcher.peers, self.endpoints, positions(bits))
        return frozenset(policy.namespace for policy, way in uses if way is flow and _allows(policy.rules(flow)))

    def forget(self) -> None:
        """Have every verdict found anew: what is known of the endpoints that there were has changed."""
        self.matcher.peers.forget()
        for plan in self.plans.values():
            plan.forget()

    def _meet(self) -> None:
        """Forget the verdicts that classes new since the last time bear upon.

        A verdict says of a class that did not exist what it says of one that no rule names. So it stays true of a
        new class unless some rule of the plan matches that class, or resolves its port names.
        """
        endpoints, known = self.endpoints, self._met
        self._met = endpoints.size
        if not known:
            return  # no verdict has been asked for yet
        if self.matcher.local_sources >> known:
            self.forget()
            return
        for use in self.watch.concerned(self.matcher.peers, endpoints, range(known, endpoints.size)):
            for plan in self._plans_of.get(use, ()):
                plan.forget()


def _allows(rules: Iterable[Rule] | None) -> bool:
    return any(rule.action is Action.ALLOW for rule in rules or ())


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The state of a cluster, or of a model, as one dialect reads it. Make the first with `Snapshot.empty`.

    `keys` and `edges` are the label keys and address edges that tell its classes apart. Snapshots of one lineage share
    caches that only grow: use a lineage from one thread at a time.
    """

    core: Core
    namespaces: dict[str, NamespaceView]
    cluster: ClusterView
    live: int
    keys: frozenset[str]
    edges: frozenset[int]

    @staticmethod
    def empty(
        dialect: Dialect, surroundings: Surroundings | None = None, governed: frozenset[str] | None = None
    ) -> "Snapshot":
        """A cluster with nothing in it.

        With `governed`, a lineage for judging findings: pod selectors of rules count, outside of these namespaces,
        as the whole namespace, since its owner chooses the labels, and admin policies are perhaps not enforced.
        Without, everything is read exactly as it stands.
        """
        core = Core(dialect, surroundings or Surroundings(), governed)
        around = core.endpoints.surroundings
        edges = frozenset((*around.nodes.edges(), *around.services.edges()))
        core.endpoints.cut(edges)
        return Snapshot(core, {}, ClusterView(), core.endpoints.outside(), frozenset(), edges)

    def content(self) -> "Snapshot":
        """Its objects alone, for `align`: nothing is placed or planned, so that its lineage can be let go of."""
        empty = Snapshot.empty(self.dialect, self.core.endpoints.surroundings)
        views = {
            name: NamespaceView(name, view.labels, view.declared, view.accounts, view.pods, view.policies)
            for name, view in self.namespaces.items()
        }
        return replace(empty, namespaces=views, cluster=self.cluster)

    def within(self, names: Iterable[str]) -> "Snapshot":
        """What lies in some of its namespaces, and the world outside: to ask about flows between these alone."""
        views = {name: view for name in names if (view := self.namespaces.get(name)) is not None}
        live = self.live & ~self.core.endpoints.labels.everything
        for view in views.values():
            live |= view.live
        return replace(self, namespaces=views, live=live)

    def unlike(self, other: "Snapshot") -> list[str]:
        """Namespaces that are not the very same in another snapshot of the lineage, by name."""
        mine, theirs = self.namespaces, other.namespaces
        found = {name for name, view in theirs.items() if mine.get(name) is not view}
        return sorted(found | (mine.keys() - theirs.keys()))

    @property
    def dialect(self) -> Dialect:
        return self.core.dialect

    def outside_as_cut(self) -> "Snapshot":
        """The same, with addresses outside told apart as finely as by any snapshot of the lineage.

        One that knows fewer nodes than the lineage stays as it is: to it, those addresses are nobody's.
        """
        endpoints = self.core.endpoints
        live = (self.live & endpoints.labels.everything) | endpoints.outside()
        if live == self.live or not self.edges.issuperset(endpoints.nodes.edges()):
            return self
        return replace(self, live=live)

    def plans_of(self, position: int) -> Plans:
        """The plans of a class that is live in this snapshot."""
        endpoint = self.core.endpoints.classes[position]
        if isinstance(endpoint, Outside):
            return NO_PLANS
        view = self.namespaces.get(endpoint.namespace)
        return NO_PLANS if view is None else view.plans.get(position, NO_PLANS)

    def pod(self, namespace: str, name: str) -> Pod:
        """The pod. Raises UnknownEndpoint when there is none."""
        view = self.namespaces.get(namespace)
        found = None if view is None else view.pods.get(name)
        if found is None:
            raise UnknownEndpoint(
                f"no pod {namespace}/{name} in this snapshot: give namespace/pod as the cluster has it"
            )
        return found

    def class_of(self, end: "Pod | str") -> int:
        """The class of a pod, or of an outside address.

        Raises UnknownEndpoint for a pod that is no endpoint here (absent or finished) and for text that is no address.
        """
        if isinstance(end, Pod):
            view = self.namespaces.get(end.namespace)
            position = None if view is None else view.classes.get(end.name)
            if position is None:
                raise UnknownEndpoint(f"pod {end} is not running in this snapshot, so it reaches nothing")
            return position
        try:
            return self.core.endpoints.outside_at(address(end), self.live)
        except ValueError:
            raise UnknownEndpoint(f"{end!r} is neither a pod of this snapshot nor an IP address") from None

    def resolve(self, text: str) -> "tuple[Pod | str, ...]":
        """The endpoints that `namespace/name` (a pod or a workload) or an address means.

        Raises UnknownEndpoint when it means nothing.
        """
        namespace, slash, name = text.partition("/")
        view = self.namespaces.get(namespace)
        if slash and view is not None:
            if name in view.pods:
                return (view.pods[name],)
            members = tuple(pod for key, pod in sorted(view.pods.items()) if pod.workload == name)
            if members:
                return members
        for other in self.namespaces.values():
            for pod in other.pods.values():
                if text in pod.ips and not pod.host_network and not pod.finished:
                    return (pod,)
        try:
            block(text)
        except ValueError:
            raise UnknownEndpoint(
                f"{text!r} names no pod, workload or address: expected namespace/pod, namespace/workload or an IP"
            ) from None
        return (text.partition("/")[0],)

    def reach(self, source: "Pod | str", target: "Pod | str", *, through_service: bool = False) -> Reach:
        """The traffic that can pass from one endpoint to another.

        A pod that comes back to itself `through_service` is subject to policies like anybody, as network-policy-api has
        it; only its own address is beyond them.
        """
        found = self.reach_of(self.class_of(source), self.class_of(target))
        if not through_service and is_itself(source, target):
            must = ALL if self.core.reading.own_pod is Answer.YES else found.must
            return Reach(must, ALL, self.dialect)
        return found

    def reach_of(self, source: int, target: int) -> Reach:
        """The same between two members of classes live in this snapshot."""
        out = self.core.verdict(self.plans_of(source)[1])
        into = self.core.verdict(self.plans_of(target)[0])
        may = relation.at(out.may, target) & relation.at(into.may, source)
        if out.must is out.may and into.must is into.may:
            return Reach(may, may, self.dialect)
        must = relation.at(out.must, target) & relation.at(into.must, source) if may else NONE
        return Reach(must, may, self.dialect)

    def settled(self) -> int:
        """Evaluate every plan in use now, rather than when asked; returns how many there are."""
        plans = {plan for view in self.namespaces.values() for pair in view.groups for plan in pair if plan is not None}
        for plan in plans:
            self.core.verdict(plan)
        return len(plans)

    def notes(self) -> tuple[str, ...]:
        """Everything that was not understood and thereby widened answers, one sentence each."""
        found = [f"{ref}: {why}" for ref, why in self.cluster.unread.items()]
        policies = [*self.cluster.policies.values()]
        for view in self.namespaces.values():
            policies.extend(view.policies.values())
        found.extend(f"{policy.ref}: {note}" for policy in policies for note in policy.notes)
        return tuple(sorted(found))

    def describe(self, position: int) -> str:
        """A class as people name it: one of its workloads, or its addresses."""
        endpoint = self.core.endpoints.classes[position]
        if isinstance(endpoint, PodClass):
            view = self.namespaces.get(endpoint.namespace)
            if view is not None:
                for name, at in view.classes.items():
                    if at == position:
                        return f"{endpoint.namespace}/{view.pods[name].workload}"
        return str(endpoint)
