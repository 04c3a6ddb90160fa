"""What differs between two snapshots of one lineage, and what its rules alone say of it."""

from collections.abc import Mapping

from driftd.policy.reach.endpoints import IN_NAMESPACE
from driftd.policy.reach.inventory import NamespaceView
from driftd.policy.reach.policies import NOBODY, Action, Both, Either, Peer, Perhaps, Pods, Policy
from driftd.policy.reach.snapshot import Snapshot
from driftd.values import ObjectRef


def changed_policies(before: Snapshot, after: Snapshot) -> list[Policy]:
    """Policies of two snapshots of one lineage that are in one of them only (a changed object is in both lists)."""
    found: list[Policy] = []
    shelves: list[tuple[Mapping[ObjectRef, Policy], Mapping[ObjectRef, Policy]]] = []
    nothing: Mapping[ObjectRef, Policy] = {}
    for name in before.unlike(after):
        old, new = before.namespaces.get(name), after.namespaces.get(name)
        if not (old and new and old.policies is new.policies):
            shelves.append((old.policies if old else nothing, new.policies if new else nothing))
    if before.cluster is not after.cluster:
        shelves.append((before.cluster.policies, after.cluster.policies))
    for mine, theirs in shelves:
        for ref in mine.keys() | theirs.keys():
            one, other = mine.get(ref), theirs.get(ref)
            if one is not other:
                found.extend(policy for policy in (one, other) if policy is not None)
    return found


def relabelled_namespaces(before: Snapshot, after: Snapshot) -> list[str]:
    """Namespaces whose own labels differ so that a condition can tell: what will run in them is seen differently."""
    counting = after.core.endpoints.keys

    def told(view: NamespaceView | None) -> set[tuple[str, str]]:
        labels = view.labels if view else {}
        return {(key, value) for key, value in labels.items() if IN_NAMESPACE + key in counting}

    here = after.namespaces
    found = [name for name in before.unlike(after) if name in here]
    return [name for name in found if told(before.namespaces.get(name)) != told(here[name])]


def lies_within(before: Snapshot, after: Snapshot) -> str:
    """The namespace between whose pods all lies that a step can open, whoever is made; "" where that cannot be said.

    It can where policies of one namespace were added and nothing else has changed, and what their rules let through or
    hand on is to and from its own pods: a policy that is added opens nothing beyond its rules.
    """
    added = changed_policies(before, after)
    homes = {policy.namespace for policy in added}
    if len(homes) != 1 or relabelled_namespaces(before, after):
        return ""
    (home,) = homes
    view = before.namespaces.get(home)
    if view is not None and any(policy.ref in view.policies for policy in added):
        return ""
    rules = [rule for policy in added for rules in (policy.ingress, policy.egress) for rule in rules or ()]
    return home if all(rule.action is Action.DENY or _lies_in(rule.far, home) for rule in rules) else ""


def opens_nothing(before: Snapshot, after: Snapshot) -> bool:
    """Whether a step can open nothing, whoever is made: it only adds policies of no namespace whose rules all deny.

    A policy that is added decides what its rules match, and what nothing else decides it denies, or leaves as it is.
    """
    added = changed_policies(before, after)
    if not added or before.cluster.tiers != after.cluster.tiers or relabelled_namespaces(before, after):
        return False
    for policy in added:
        if policy.namespace or policy.ref in before.cluster.policies:
            return False
        rules = (*(policy.ingress or ()), *(policy.egress or ()))
        if any(rule.action is not Action.DENY for rule in rules):
            return False
    return True


def _lies_in(peer: Peer, home: str) -> bool:
    """Whether whatever an expression matches is a pod of one namespace."""
    match peer:
        case Pods(namespace=name):
            return bool(home) and name == home
        case Both(parts):
            return any(_lies_in(part, home) for part in parts)
        case Either(parts):
            return all(_lies_in(part, home) for part in parts)
        case Perhaps(part, _):
            return _lies_in(part, home)
        case _:
            return peer == NOBODY
