"""From one snapshot to the next: only what an edit touches is placed and planned anew."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain

from driftd.policy.reach.addresses import address, of_ranges
from driftd.policy.reach.dialects import Dialect
from driftd.policy.reach.draft import Draft, Space, ref_of
from driftd.policy.reach.endpoints import IN_NAMESPACE, Labels, Surroundings, labels_of
from driftd.policy.reach.inventory import ClusterView, NamespaceView, Plans, effective_labels
from driftd.policy.reach.planning import grouped, plans_for
from driftd.policy.reach.pods import Pod
from driftd.policy.reach.policies import Block, Leaf, Pods
from driftd.policy.reach.selectors import keys_of
from driftd.policy.reach.snapshot import Core, Edit, Snapshot
from driftd.values import Body


def snapshot_of(
    objects: Iterable[Body | Pod],
    dialect: Dialect,
    surroundings: Surroundings | None = None,
    governed: frozenset[str] | None = None,
) -> Snapshot:
    """The snapshot of a whole cluster or model: an edit of nothing. For `governed` see `Snapshot.empty`.

    Objects are read one after another and not kept: bodies are many times as large as what is made of them.
    """
    before = Snapshot.empty(dialect, surroundings, governed)
    draft = Draft(before)
    for item in objects:
        draft.put(item)
    draft.ground()
    return _finish(before, draft)


def apply(before: Snapshot, edit: Edit) -> Snapshot:
    """The snapshot after an edit: removals first, then puts in order. `before` stays as it is."""
    draft = Draft(before)
    for policy in edit.mention:
        draft.put(policy)
        draft.remove(ref_of(policy))
    for ref in edit.remove:
        draft.remove(ref)
    for item in edit.put:
        draft.put(item)
    draft.ground()
    return _finish(before, draft)


def align(other: Snapshot, onto: Snapshot) -> Snapshot:
    """A snapshot with the content of `other` in the lineage of `onto`, sharing whatever is equal."""
    draft = Draft(onto)
    draft.become(other)
    return _finish(onto, draft)


def _finish(before: Snapshot, draft: Draft) -> Snapshot:
    core = before.core
    fresh = [policy for policy in draft.changed() if policy in draft.put_now]
    said = set[Leaf]()
    for policy in fresh:
        said |= core.watch.add(policy)
    keys, edges = _mention(draft, said), _cut(draft, said)
    live = before.live
    if edges is not before.edges:
        live = (live & core.endpoints.labels.everything) | core.endpoints.outside()
    cluster = draft.cluster_view()
    everywhere, cluster_bits = _cluster_changes(before, cluster, core)
    if everywhere or cluster_bits:
        for name, view in before.namespaces.items():
            if everywhere or view.live & cluster_bits:
                draft.space(name)
    views = dict(before.namespaces)
    # Whom everybody names has hardly a policy, and comes first: a bitset is as long as the place of its last member.
    made = {
        name: _view(core, before.namespaces.get(name), space, cluster, cluster_bits, everywhere=everywhere)
        for name, space in sorted(draft.spaces.items(), key=lambda one: bool(one[1].policies))
    }
    for name in draft.spaces:
        old, view = before.namespaces.get(name), made[name]
        live = (live & ~(old.live if old else 0)) | view.live
        if view.empty:
            views.pop(name, None)
        else:
            views[name] = view
    return Snapshot(core, views, cluster, live, keys, edges)


def _mention(draft: Draft, said: Iterable[Leaf]) -> frozenset[str]:
    """Let the label keys of conditions count, mark pods that carry newly counting ones, and return all that count."""
    before, endpoints = draft.before, draft.core.endpoints
    pods = [leaf for leaf in said if isinstance(leaf, Pods)]
    new = {key for leaf in pods for key in keys_of(leaf.labels)}
    new |= {IN_NAMESPACE + key for leaf in pods for key in keys_of(leaf.namespaces)}
    new -= before.keys
    if not new:
        return before.keys
    endpoints.keys |= new
    for name, blurred in endpoints.blurred.items():  # as many as were relabelled
        if any(IN_NAMESPACE + key in new for key in blurred):
            draft.space(name).everything_moved = True
    for name, view in before.namespaces.items():
        carriers = [key for key, pod in view.pods.items() if not new.isdisjoint(pod.labels)]
        if carriers:
            draft.space(name).moved.update(carriers)
    return before.keys | new


def _cut(draft: Draft, said: Iterable[Leaf]) -> frozenset[int]:
    """Let the CIDR edges of conditions, and nodes, count; mark pods they may tell apart; return all that count."""
    before, endpoints = draft.before, draft.core.endpoints
    ranges = {leaf.ranges for leaf in said if isinstance(leaf, Block)}
    hosts = {ip for space in draft.spaces.values() for name in space.moved for ip in _node_ips(space, name)}
    if hosts:
        nodes = of_ranges((at, at) for at in map(address, hosts))
        if endpoints.meet_nodes(nodes):
            draft.core.forget()
        ranges.add(nodes)
    new = {edge for found in ranges for edge in found.edges()} - before.edges
    if not new:
        return before.edges
    torn = endpoints.cut(new)
    if torn:
        for name, view in before.namespaces.items():
            if view.live & torn:
                members = [key for key, position in view.classes.items() if torn >> position & 1]
                draft.space(name).moved.update(members)
    return before.edges | new


def _node_ips(space: Space, name: str) -> tuple[str, ...]:
    pod = space.pods.get(name)
    if pod is None:
        return ()
    return pod.node_ips + pod.ips if pod.host_network else pod.node_ips


def _cluster_changes(before: Snapshot, cluster: ClusterView, core: Core) -> tuple[bool, int]:
    """Whether every class must be planned anew, and else those that changed cluster-wide policies select."""
    if cluster is before.cluster:
        return False, 0
    if cluster.tiers != before.cluster.tiers:
        return True, 0
    old, new = before.cluster.policies, cluster.policies
    bits = 0
    for ref in old.keys() | new.keys():
        if old.get(ref) is not new.get(ref):
            for policy in (old.get(ref), new.get(ref)):
                if policy is not None:
                    bits |= core.matcher.peers.bits(policy.subject)[1]
    return False, bits


def _view(
    core: Core,
    old: NamespaceView | None,
    space: Space,
    cluster: ClusterView,
    cluster_bits: int,
    *,
    everywhere: bool,
) -> NamespaceView:
    before = old or NamespaceView(space.name)
    classes, counts, live = before.classes, before.counts, before.live
    if space.everything_moved or space.moved:
        classes = _placed(core, before, space)
        counts = Counter(classes.values())
        for position in counts.keys() ^ before.counts.keys():
            live ^= 1 << position
    dirty = live if everywhere else (live & ~before.live) | (live & cluster_bits)
    if not everywhere:
        for policy in space.changed:
            dirty |= core.matcher.peers.bits(policy.subject)[1] & live
    plans: Mapping[int, Plans] = before.plans
    if live != before.live:
        plans = {position: pair for position, pair in plans.items() if position in counts}
    if dirty:
        plans = {**plans, **plans_for(core, chain(space.policies.values(), cluster.policies.values()), cluster, dirty)}
    return NamespaceView(
        space.name,
        space.labels,
        space.declared,
        space.accounts,
        space.pods,
        space.policies,
        classes,
        counts,
        plans,
        live,
        before.groups if plans is before.plans else grouped(plans),
    )


def _account_labels(name: str, labels: Mapping[str, str]) -> Labels:
    return labels_of({**labels, "projectcalico.org/name": name})


def _placed(core: Core, before: NamespaceView, space: Space) -> dict[str, int]:
    """Pods to classes: those that moved placed anew, the others where they were."""
    home = core.endpoints.home(space.name, effective_labels(space.name, space.labels))
    accounts = {name: _account_labels(name, labels) for name, labels in space.accounts.items()}
    classes = {} if space.everything_moved else dict(before.classes)
    for name in space.pods if space.everything_moved else sorted(space.moved):
        pod = space.pods.get(name)
        if pod is None or pod.finished:
            classes.pop(name, None)
            continue
        account = accounts.get(pod.service_account)
        if account is None:
            account = accounts[pod.service_account] = _account_labels(pod.service_account, {})
        classes[name] = core.endpoints.place(pod, home, account)
    return classes
