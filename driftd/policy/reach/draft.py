"""An edit in the making: objects taken in and taken out, before anything is placed or planned."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from driftd.policy.kinds import other_spelling
from driftd.policy.reach.admin_policy import GROUP as ADMIN_GROUP
from driftd.policy.reach.admin_policy import KINDS as ADMIN_KINDS
from driftd.policy.reach.admin_policy import read_admin_policy
from driftd.policy.reach.calico_entity import Grounds
from driftd.policy.reach.calico_objects import UnreadableObject, calico_ref, read_tier
from driftd.policy.reach.calico_policy import read_calico_policy
from driftd.policy.reach.cluster_objects import grounds_of, referring, with_ground, without, without_object
from driftd.policy.reach.dialects import Answer
from driftd.policy.reach.endpoints import Labels, labels_of
from driftd.policy.reach.inventory import ClusterView, NamespaceView
from driftd.policy.reach.network_policy import read_network_policy
from driftd.policy.reach.opaque import HOST_PLANE, OPAQUE, host_plane, opaque_policy
from driftd.policy.reach.pods import WORKLOADS, MalformedPod, Pod, pod_from_body, pods_from_workload
from driftd.policy.reach.policies import Policy, distrusting
from driftd.policy.reach.snapshot import Snapshot
from driftd.values import Body, ObjectRef

_CALICO: Final = "projectcalico.org"
_CALICO_STORE: Final = "crd.projectcalico.org"


def ref_of(body: Body) -> ObjectRef:
    """Identity of a body; Calico's storage group and its API group are one."""
    metadata = body.get("metadata") or {}
    group = str(body.get("apiVersion") or "").rpartition("/")[0]
    kind = str(body.get("kind") or "")
    return _normal(ObjectRef(group, kind, str(metadata.get("namespace") or ""), str(metadata.get("name") or "")))


def _normal(ref: ObjectRef) -> ObjectRef:
    if ref.group not in (_CALICO, _CALICO_STORE):
        return ref
    return calico_ref(ref.kind, ref.namespace, ref.name)


class Space:
    """One namespace under edit. `moved` names pods to place anew; `changed` holds policies old and new."""

    __slots__ = ("accounts", "changed", "declared", "everything_moved", "labels", "moved", "name", "pods", "policies")

    def __init__(self, name: str, view: NamespaceView | None) -> None:
        self.name = name
        self.labels: Mapping[str, str] = view.labels if view else {}
        self.declared = view.declared if view else False
        self.accounts: dict[str, Mapping[str, str]] = dict(view.accounts) if view else {}
        self.pods: dict[str, Pod] = dict(view.pods) if view else {}
        self.policies: dict[ObjectRef, Policy] = dict(view.policies) if view else {}
        self.moved: set[str] = set()
        self.everything_moved = False
        self.changed: list[Policy] = []


class Draft:
    """Objects of a snapshot under edit; only namespaces that are touched are copied."""

    def __init__(self, before: Snapshot) -> None:
        self.before = before
        self.core = before.core
        self.spaces: dict[str, Space] = {}
        self.put_now: set[Policy] = set()  # also what was removed again: an edit mentions policies so
        self._cluster = before.cluster
        self._cluster_changed: list[Policy] = []
        self._touched: set[str] = set()
        self._waiting: list[ObjectRef] = []

    def space(self, name: str) -> Space:
        """The namespace, opened for editing."""
        found = self.spaces.get(name)
        if found is None:
            found = self.spaces[name] = Space(name, self.before.namespaces.get(name))
        return found

    def cluster_view(self) -> ClusterView:
        """What belongs to no namespace, as edited; the same object as before if nothing of it was touched."""
        return self._cluster

    def changed(self) -> list[Policy]:
        """Policies that came, went or changed, old and new forms alike."""
        found = list(self._cluster_changed)
        for space in self.spaces.values():
            found.extend(space.changed)
        return found

    # -- taking in -------------------------------------------------------------------------------------------------

    def put(self, item: Body | Pod) -> None:
        """Take in an object; kinds that cannot bear on reachability are passed over."""
        if isinstance(item, Pod):
            self._put_pod(item)
            return
        ref = ref_of(item)
        if ref.kind.endswith("List") and isinstance(item.get("items"), list):
            for part in item["items"]:
                self.put({"apiVersion": item.get("apiVersion"), "kind": ref.kind.removesuffix("List"), **part})
            return
        if (ref.group, ref.kind) in WORKLOADS:
            self._put_workload(ref, item)
            return
        handler = _HANDLERS.get((ref.group, ref.kind))
        if handler is not None:
            handler(self, ref, item)

    def _put_pod(self, pod: Pod) -> None:
        space = self.space(pod.namespace)
        space.pods[pod.name] = pod
        space.moved.add(pod.name)

    def _put_pod_body(self, ref: ObjectRef, body: Body) -> None:
        try:
            self._put_pod(pod_from_body(body))
        except MalformedPod as problem:
            self._name_unread(ref, str(problem))

    def _put_workload(self, ref: ObjectRef, body: Body) -> None:
        try:
            pods = pods_from_workload(body)
        except MalformedPod as problem:
            self._name_unread(ref, str(problem))
            return
        self._drop_workload(ref)
        for pod in pods:
            self._put_pod(pod)

    def _drop_workload(self, ref: ObjectRef) -> None:
        space, owner = self.space(ref.namespace or "default"), f"{ref.kind}/{ref.name}"
        for name in [name for name, pod in space.pods.items() if pod.owner == owner]:
            del space.pods[name]
            space.moved.add(name)

    def _name_unread(self, ref: ObjectRef, why: str) -> None:
        self._cluster = replace(self._cluster, unread={**self._cluster.unread, ref: why})

    def _put_namespace(self, ref: ObjectRef, body: Body) -> None:
        space = self.space(ref.name)
        labels = _labels(body)
        space.declared = True
        if labels != space.labels:
            space.labels = labels
            space.everything_moved = True

    def _put_account(self, ref: ObjectRef, body: Body) -> None:
        space = self.space(ref.namespace or "default")
        labels = _labels(body)
        if labels != space.accounts.get(ref.name, {}):
            space.everything_moved = True
        space.accounts[ref.name] = labels

    def _put_network_policy(self, _: ObjectRef, body: Body) -> None:
        self.put_policy(read_network_policy(body))

    def put_policy(self, policy: Policy) -> None:
        """Take in a policy that has been read; one of equal meaning leaves the old one standing."""
        if self.core.distrusts:
            policy = distrusting(policy)
        if policy.namespace:
            space = self.space(policy.namespace)
            policies, changed = space.policies, space.changed
        else:
            policies, changed = dict(self._cluster.policies), self._cluster_changed
            policy = self._as_read_before(policy)
        old = policies.get(policy.ref)
        if old is not None:
            if meaning(old) == meaning(policy):
                return
            changed.append(old)
        policies[policy.ref] = policy
        changed.append(policy)
        self.put_now.add(policy)
        if not policy.namespace:
            self._cluster = replace(self._cluster, policies=policies)

    def _as_read_before(self, policy: Policy) -> Policy:
        known = self.core.wide.get(policy.ref)
        if known is not None and meaning(known) == meaning(policy):
            return known
        self.core.wide[policy.ref] = policy
        return policy

    # -- taking out ------------------------------------------------------------------------------------------------

    def remove(self, ref: ObjectRef) -> None:
        """Take out an object; what is not there is passed over."""
        ref = _normal(ref)
        if ref in self._cluster.unread:
            self._cluster = replace(self._cluster, unread=without(self._cluster.unread, ref))
        if (ref.group, ref.kind) in WORKLOADS:
            self._drop_workload(ref)
            return
        match ref.kind if not ref.group else "":
            case "Pod":
                space = self.space(ref.namespace)
                if space.pods.pop(ref.name, None) is not None:
                    space.moved.add(ref.name)
            case "Namespace":
                space = self.space(ref.name)
                space.labels, space.declared, space.everything_moved = {}, False, True
            case "ServiceAccount":
                space = self.space(ref.namespace)
                if space.accounts.pop(ref.name, None):
                    space.everything_moved = True
            case _:
                self._remove_policy(ref)

    def _remove_policy(self, ref: ObjectRef) -> None:
        if self._remove_cluster_object(ref):
            return
        if ref in self._cluster.host_endpoints:
            self._cluster = replace(self._cluster, host_endpoints=self._cluster.host_endpoints - {ref})
            if self._cluster.host_endpoints:
                return
            ref = HOST_PLANE
        elif ref not in self._cluster.bodies:
            ref = other_spelling(ref) or ref
        if ref in self._cluster.bodies:
            self._cluster = replace(self._cluster, bodies=without(self._cluster.bodies, ref))
        if ref.namespace:
            space = self.space(ref.namespace)
            old = space.policies.pop(ref, None)
            if old is not None:
                space.changed.append(old)
        elif ref in self._cluster.policies:
            self._cluster_changed.append(self._cluster.policies[ref])
            self._cluster = replace(self._cluster, policies=without(self._cluster.policies, ref))

    # -- becoming another ------------------------------------------------------------------------------------------

    def become(self, other: Snapshot) -> None:
        """Turn into the content of another snapshot, opening only namespaces that differ."""
        for name in self.before.namespaces.keys() | other.namespaces.keys():
            self._become_namespace(name, other.namespaces.get(name) or NamespaceView(name))
        mine, theirs = self._cluster.policies, other.cluster.policies
        policies = self._merged(mine, theirs, self._cluster_changed)
        if policies is not mine or replace(self._cluster, policies={}) != replace(other.cluster, policies={}):
            self._cluster = replace(other.cluster, policies=policies)

    def _become_namespace(self, name: str, theirs: NamespaceView) -> None:
        mine = self.before.namespaces.get(name) or NamespaceView(name)
        changed: list[Policy] = []
        policies = self._merged(mine.policies, theirs.policies, changed)
        moved = {key for key in mine.pods.keys() | theirs.pods.keys() if mine.pods.get(key) != theirs.pods.get(key)}
        relabelled = mine.labels != theirs.labels or mine.accounts != theirs.accounts
        if not (moved or changed or relabelled or mine.declared != theirs.declared):
            return
        space = self.space(name)
        space.labels, space.declared = theirs.labels, theirs.declared
        space.accounts, space.pods = dict(theirs.accounts), dict(theirs.pods)
        space.policies, space.changed = dict(policies), changed
        space.moved, space.everything_moved = moved, relabelled

    def _merged(
        self, mine: Mapping[ObjectRef, Policy], theirs: Mapping[ObjectRef, Policy], changed: list[Policy]
    ) -> Mapping[ObjectRef, Policy]:
        """Their policies, each as my object where its meaning is mine; what differs goes to `changed`."""
        found: dict[ObjectRef, Policy] = {}
        for ref, policy in theirs.items():
            have = mine.get(ref)
            if have is not None and (have is policy or meaning(have) == meaning(policy)):
                found[ref] = have
                continue
            found[ref] = policy
            changed.append(policy)
            self.put_now.add(policy)
            if have is not None:
                changed.append(have)
        changed.extend(policy for ref, policy in mine.items() if ref not in theirs)
        return found if changed else mine

    # -- Calico and admin policies -----------------------------------------------------------------------------------
    def _put_calico_policy(self, ref: ObjectRef, body: Body) -> None:
        enforced = self.core.reading.calico_kinds
        if enforced is Answer.NO:
            self._name_unread(ref, f"{ref.kind} is not enforced where the dialect is {self.core.dialect}")
            return
        self._cluster = replace(self._cluster, bodies={**self._cluster.bodies, ref: body})
        self._waiting.append(ref)

    def _put_admin_policy(self, _: ObjectRef, body: Body) -> None:
        reading = self.core.reading
        certain, ordered = reading.admin_kinds is Answer.YES, reading.calico_kinds is Answer.YES
        self.put_policy(read_admin_policy(body, certain=certain and not self.core.distrusts, ordered=ordered))

    def _put_tier(self, ref: ObjectRef, body: Body) -> None:
        self._cluster = replace(self._cluster, tiers={**self._cluster.tiers, ref.name: read_tier(body)})

    def _put_ground(self, ref: ObjectRef, body: Body) -> None:
        """A network set, an endpoint slice or a service: something that Calico's rules refer to."""
        try:
            self._cluster = with_ground(self._cluster, ref, body)
        except UnreadableObject as problem:
            self._name_unread(ref, str(problem))
            return
        if ref in self._cluster.unread:
            self._cluster = replace(self._cluster, unread=without(self._cluster.unread, ref))
        self._touched.add(ref.kind)

    def _put_opaque(self, ref: ObjectRef, _: Body) -> None:
        if self.core.dialect in OPAQUE[ref.group, ref.kind]:
            self.put_policy(opaque_policy(ref))
        else:
            self._name_unread(ref, f"{ref.kind} is not enforced where the dialect is {self.core.dialect}")

    def _put_unsupported(self, ref: ObjectRef, _: Body) -> None:
        self._name_unread(ref, f"{ref.kind} is not evaluated: what it allows or blocks is not in any answer")

    def _put_host_endpoint(self, ref: ObjectRef, body: Body) -> None:
        """One stand-in speaks for all host endpoints: what any of them lets through is not told."""
        if self.core.reading.calico_kinds is Answer.NO:
            self._put_calico_policy(ref, body)
            return
        self._cluster = replace(self._cluster, host_endpoints=self._cluster.host_endpoints | {ref})
        self.put_policy(host_plane())

    def _remove_cluster_object(self, ref: ObjectRef) -> bool:
        cluster = without_object(self._cluster, ref)
        if cluster is None:
            return False
        self._cluster = cluster
        self._touched.add(ref.kind)
        return True

    def ground(self) -> None:
        """Read Calico policies: those put now, and all where network sets, services or namespaces changed."""
        bodies = self._cluster.bodies
        relabelled = any(space.everything_moved for space in self.spaces.values())
        wanted = [ref for ref in self._waiting if ref in bodies]
        wanted += referring(self._cluster, self._touched, relabelled=relabelled)
        if not wanted:
            return
        grounds = self._grounds()
        certain = self.core.reading.calico_kinds is Answer.YES
        for ref in wanted:
            self.put_policy(read_calico_policy(bodies[ref], grounds, certain=certain))

    def _grounds(self) -> Grounds:
        """What rules refer to, as edited."""
        cluster = self._cluster
        labels: dict[str, Labels] = {}
        if cluster.network_sets:
            for name in self.before.namespaces.keys() | self.spaces.keys():
                space = self.spaces.get(name)
                have = space.labels if space is not None else self.before.namespaces[name].labels
                labels[name] = labels_of({**have, "kubernetes.io/metadata.name": name})
        return grounds_of(cluster, labels, selecting=self.core.distrusts)


def meaning(policy: Policy) -> tuple[object, ...]:
    """What must be equal for two forms of one object to decide alike."""
    return (
        policy.tier,
        policy.rank,
        policy.subject,
        policy.certain,
        policy.ambiguous,
        policy.notes,
        *(
            None
            if rules is None
            else tuple(
                (rule.action, rule.far, rule.ports, rule.near, rule.certain, rule.note, rule.request) for rule in rules
            )
            for rules in (policy.ingress, policy.egress)
        ),
    )


def _labels(body: Body) -> dict[str, str]:
    return dict((body.get("metadata") or {}).get("labels") or {})


_Handler = Callable[[Draft, ObjectRef, Body], None]
# ruff: noqa: SLF001 - the table belongs to the class, which is too long to hold it
_HANDLERS: Final[Mapping[tuple[str, str], _Handler]] = {
    ("", "Pod"): Draft._put_pod_body,
    ("", "Namespace"): Draft._put_namespace,
    ("", "ServiceAccount"): Draft._put_account,
    ("", "Service"): Draft._put_ground,
    ("discovery.k8s.io", "EndpointSlice"): Draft._put_ground,
    ("networking.k8s.io", "NetworkPolicy"): Draft._put_network_policy,
    **{(ADMIN_GROUP, kind): Draft._put_admin_policy for kind in ADMIN_KINDS},
    (_CALICO, "NetworkPolicy"): Draft._put_calico_policy,
    (_CALICO, "GlobalNetworkPolicy"): Draft._put_calico_policy,
    (_CALICO, "Tier"): Draft._put_tier,
    (_CALICO, "NetworkSet"): Draft._put_ground,
    (_CALICO, "GlobalNetworkSet"): Draft._put_ground,
    (_CALICO, "HostEndpoint"): Draft._put_host_endpoint,
    (_CALICO, "Profile"): Draft._put_unsupported,
    **dict.fromkeys(OPAQUE, Draft._put_opaque),
}
