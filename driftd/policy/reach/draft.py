"""An edit in the making: objects taken in and taken out, before anything is placed or planned."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from driftd.policy.reach.inventory import ClusterView, NamespaceView
from driftd.policy.reach.network_policy import read_network_policy
from driftd.policy.reach.pods import WORKLOADS, MalformedPod, Pod, pod_from_body, pods_from_workload
from driftd.policy.reach.policies import Policy
from driftd.policy.reach.snapshot import Snapshot
from driftd.values import Body, ObjectRef

_CALICO: Final = "projectcalico.org"
_CALICO_STORE: Final = "crd.projectcalico.org"
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def ref_of(body: Body) -> ObjectRef:
    """Identity of a body; Calico's storage group and its API group are one."""
    metadata = body.get("metadata") or {}
    group = str(body.get("apiVersion") or "").rpartition("/")[0]
    kind = str(body.get("kind") or "")
    group = _CALICO if group == _CALICO_STORE else group
    return ObjectRef(group, kind, str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))


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
        self.in_force: set[Policy] = set()
        self._cluster = before.cluster
        self._cluster_changed: list[Policy] = []
        self._grounds_changed = False

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
        if policy.namespace:
            space = self.space(policy.namespace)
            policies, changed = space.policies, space.changed
        else:
            policies, changed = dict(self._cluster.policies), self._cluster_changed
        old = policies.get(policy.ref)
        if old is not None:
            if meaning(old) == meaning(policy):
                return
            changed.append(old)
        policies[policy.ref] = policy
        changed.append(policy)
        self.in_force.add(policy)
        if not policy.namespace:
            self._cluster = replace(self._cluster, policies=policies)

    # -- taking out ------------------------------------------------------------------------------------------------

    def remove(self, ref: ObjectRef) -> None:
        """Take out an object; what is not there is passed over."""
        if ref.group == _CALICO_STORE:
            ref = ObjectRef(_CALICO, ref.kind, ref.namespace, ref.name)
        if ref in self._cluster.unread:
            self._cluster = replace(self._cluster, unread=_without(self._cluster.unread, ref))
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
        if ref.namespace:
            space = self.space(ref.namespace)
            old = space.policies.pop(ref, None)
            if old is not None:
                space.changed.append(old)
        elif ref in self._cluster.policies:
            self._cluster_changed.append(self._cluster.policies[ref])
            self._cluster = replace(self._cluster, policies=_without(self._cluster.policies, ref))

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
            self.in_force.add(policy)
            if have is not None:
                changed.append(have)
        changed.extend(policy for ref, policy in mine.items() if ref not in theirs)
        return found if changed else mine

    def ground(self) -> None:
        """Read policies again whose meaning depends on network sets or services that changed."""


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


def _without(entries: Mapping[_Key, _Value], key: _Key) -> dict[_Key, _Value]:
    return {kept: value for kept, value in entries.items() if kept != key}


_Handler = Callable[[Draft, ObjectRef, Body], None]
_HANDLERS: Final[Mapping[tuple[str, str], _Handler]] = {
    ("", "Pod"): Draft._put_pod_body,
    ("", "Namespace"): Draft._put_namespace,
    ("", "ServiceAccount"): Draft._put_account,
    ("networking.k8s.io", "NetworkPolicy"): Draft._put_network_policy,
}
