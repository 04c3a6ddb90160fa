"""Which policies apply to which class, and the shared plan that follows."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from driftd.policy.reach.inventory import ClusterView, Plans
from driftd.policy.reach.policies import ANYONE, Flow, Peer, Pods, Policy, Rule, Tier
from driftd.policy.reach.relation import positions
from driftd.policy.reach.rules import PLAIN, Near
from driftd.policy.reach.selectors import In
from driftd.policy.reach.snapshot import NO_PLANS, Core
from driftd.policy.reach.tiers import tier_named
from driftd.policy.reach.walk import Applied, Plan


def plans_for(core: Core, policies: Iterable[Policy], cluster: ClusterView, classes: int) -> dict[int, Plans]:
    """The plans of each class of the bitset, all within one namespace, under those of the policies that apply to it."""
    ingress: dict[int, list[Applied]] = {}
    egress: dict[int, list[Applied]] = {}
    for tier, policy, must, may in _selecting(core, policies, cluster, classes):
        for members, certain in ((must, True), (may & ~must, False)):
            if not members:
                continue
            entry = _applied(core, policy, tier, certain=certain)
            for position in positions(members):
                if policy.ingress is not None:
                    ingress.setdefault(position, []).append(entry)
                if policy.egress is not None:
                    egress.setdefault(position, []).append(entry)
    return {
        position: (
            _plan(core, Flow.INGRESS, ingress.get(position), position),
            _plan(core, Flow.EGRESS, egress.get(position), position),
        )
        if position in ingress or position in egress
        else NO_PLANS
        for position in positions(classes)
    }


def _selecting(
    core: Core, policies: Iterable[Policy], cluster: ClusterView, classes: int
) -> list[tuple[Tier, Policy, int, int]]:
    """The policies that apply to any of the classes, in the order in which they are asked: to which surely, perhaps."""
    peers, within = core.matcher.peers, classes.bit_length()
    worn = core.endpoints.worn(positions(classes))
    found: list[tuple[Tier, Policy, int, int]] = []
    for policy in policies:
        if _asks_for_another(policy.subject, worn):
            continue
        must, may = peers.bits(policy.subject, within)
        may &= classes
        if may:
            tier = tier_named(policy.tier, cluster.tiers, core.dialect)
            found.append((tier, policy, must & may if policy.certain and tier.certain else 0, may))
    found.sort(key=_order)
    return found


def _asks_for_another(subject: Peer, worn: AbstractSet[tuple[str, str]]) -> bool:
    """Whether it selects only pods with a label that nobody here wears."""
    if not isinstance(subject, Pods) or subject.calico or not isinstance(subject.labels, In):
        return False
    key = subject.labels.key
    return worn.isdisjoint([(key, value) for value in subject.labels.values])


def _order(one: tuple[Tier, Policy, int, int]) -> tuple[float, str, tuple[float, str]]:
    tier, policy = one[:2]
    return tier.order, tier.name, policy.rank


def _applied(core: Core, policy: Policy, tier: Tier, *, certain: bool) -> Applied:
    key = (policy, certain, tier)
    found = core.applied.get(key)
    if found is None:
        found = core.applied[key] = Applied(policy, certain, tier, _minding(policy))
    return found


def _plan(core: Core, flow: Flow, applied: list[Applied] | None, position: int) -> Plan | None:
    if applied is None:
        return None
    return core.plan(flow, tuple(applied), _near(core, flow, applied, position))


def _near(core: Core, flow: Flow, applied: Iterable[Applied], position: int) -> Near:
    """What of the class itself its plan depends on; nothing, for most."""
    for one in applied:
        if one.minding:
            break
    else:
        return PLAIN
    named = False
    narrowed: list[tuple[Rule, bool]] = []
    missed: set[Rule] = set()
    for one in applied:
        for rule in one.policy.rules(flow) or ():
            named = named or (flow is Flow.INGRESS and _names_ports(rule))
            if rule.near is ANYONE:
                continue
            must, may = core.matcher.peers.bits(rule.near, position + 1)
            if not may >> position & 1:
                missed.add(rule)
            else:
                narrowed.append((rule, bool(must >> position & 1)))
    if not named and not narrowed and not missed:
        return PLAIN
    endpoint = core.endpoints.classes[position]
    own_ports = getattr(endpoint, "ports", ()) if named else ()
    return Near(own_ports, tuple(narrowed), frozenset(missed))


def _minding(policy: Policy) -> bool:
    """Whether rules of it name ports of the pod that they protect, or have a condition on that pod."""
    for rule in policy.ingress or ():
        if _names_ports(rule) or rule.near is not ANYONE:
            return True
    return any(rule.near is not ANYONE for rule in policy.egress or ())


def _names_ports(rule: Rule) -> bool:
    return bool(rule.ports.names or rule.ports.not_names)


def grouped(plans: Mapping[int, Plans]) -> dict[Plans, tuple[int, ...]]:
    """Classes by the pair of plans that they share."""
    found: dict[Plans, list[int]] = {}
    for position, pair in plans.items():
        found.setdefault(pair, []).append(position)
    return {pair: tuple(places) for pair, places in found.items()}
