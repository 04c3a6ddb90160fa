"""The one form every policy kind is read into: a tier, a subject, and per direction ordered rules."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from operator import is_
from typing import Final, Protocol, TypeAlias

from driftd.policy.reach.addresses import Ranges
from driftd.policy.reach.ports import ALL, NONE, PortSet
from driftd.policy.reach.selectors import ALWAYS, Selector, is_little
from driftd.values import ObjectRef


class Action(StrEnum):
    """What a matching rule does; PASS hands the connection to the next tier."""

    ALLOW = "allow"
    DENY = "deny"
    PASS = "pass"  # noqa: S105 - a policy action


class Flow(StrEnum):
    """The direction of a rule, seen from the pods it protects."""

    INGRESS = "ingress"
    EGRESS = "egress"


@dataclass(frozen=True, slots=True)
class Anyone:
    """Every endpoint: pods, addresses, whatever else there is."""

    def __str__(self) -> str:
        return "anyone"


@dataclass(frozen=True, slots=True)
class Nobody:
    """No endpoint."""

    def __str__(self) -> str:
        return "nobody"


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods by namespace, labels and service account; all given conditions hold together.

    `namespace` is one namespace by name ("" means any); `namespaces` selects namespaces by label. `calico` reads
    `labels` over Calico's view of a pod, with the labels its namespace and service account hand down.
    `host_pods` False leaves out pods in the host's network in every dialect (the admin policies say so). With
    `serving`, pods of namespaces that are not governed carry whatever labels make a rule of that action serve them.
    """

    namespace: str = ""
    namespaces: Selector = ALWAYS
    labels: Selector = ALWAYS
    accounts: tuple[str, ...] = ()
    account_labels: Selector = ALWAYS
    calico: bool = False
    host_pods: bool = True
    serving: Action | None = None
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        conditions = (self.namespaces, self.labels, self.accounts, self.account_labels)
        object.__setattr__(self, "_hash", hash((self.namespace, self.calico, self.host_pods, self.serving, conditions)))

    def __hash__(self) -> int:
        return self._hash  # these are the keys of every cache: looked up far more often than made

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        where += f" in namespaces with {self.namespaces}" if self.namespaces != ALWAYS else ""
        which = "all pods" if self.labels == ALWAYS else f"pods with {self.labels}"
        accounts = f" as {', '.join(self.accounts)}" if self.accounts else ""
        accounts += f" as accounts with {self.account_labels}" if self.account_labels != ALWAYS else ""
        return f"{which}{where or ' in any namespace'}{accounts}"


@dataclass(frozen=True, slots=True)
class Block:
    """Addresses. Whether pods are matched by theirs is the dialect's answer; `pods` True means surely, everywhere.

    `listed`: they were written down one by one, so a pod whose address is not known is not among them.
    """

    ranges: Ranges
    pods: bool = False
    listed: bool = False
    text: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.text or str(self.ranges)


@dataclass(frozen=True, slots=True)
class Hosts:
    """Nodes: addresses that are theirs, and pods in their network."""

    def __str__(self) -> str:
        return "a node"


@dataclass(frozen=True, slots=True)
class Both:
    """The conjunction."""

    parts: tuple["Peer", ...]

    def __str__(self) -> str:
        return " and ".join(str(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Either:
    """The disjunction."""

    parts: tuple["Peer", ...]

    def __str__(self) -> str:
        return "; or ".join(str(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Unless:
    """Every endpoint but these."""

    part: "Peer"

    def __str__(self) -> str:
        return f"anyone but ({self.part})"


@dataclass(frozen=True, slots=True)
class Perhaps:
    """Endpoints of which it is not known that they match: the condition has a part driftd cannot decide."""

    part: "Peer"
    why: str

    def __str__(self) -> str:
        return f"perhaps {self.part} ({self.why})"


Leaf: TypeAlias = Pods | Block | Hosts
Peer: TypeAlias = Anyone | Nobody | Pods | Block | Hosts | Both | Either | Unless | Perhaps
ANYONE: Final = Anyone()
NOBODY: Final = Nobody()
HOSTS: Final = Hosts()


def either(parts: tuple[Peer, ...]) -> Peer:
    """The disjunction in its shortest form."""
    return parts[0] if len(parts) == 1 else Either(parts) if parts else NOBODY


def both(parts: tuple[Peer, ...]) -> Peer:
    """The conjunction in its shortest form."""
    kept = tuple(part for part in parts if part != ANYONE)
    return kept[0] if len(kept) == 1 else Both(kept) if kept else ANYONE


@dataclass(frozen=True, slots=True)
class PortMatch:
    """Traffic a rule speaks of: numbers, plus names that each destination pod resolves for itself, minus the same.

    `ranged` is what of the numbers only the end of a range brings in, which not every implementation reads.
    """

    numbers: PortSet = ALL
    names: tuple[tuple[str, str], ...] = ()
    not_numbers: PortSet = NONE
    not_names: tuple[tuple[str, str], ...] = ()
    ranged: PortSet = NONE

    def __str__(self) -> str:
        words = [str(self.numbers)] if self.numbers else []
        words += [f"{protocol}/{name}" for protocol, name in self.names]
        text = ", ".join(words) or "no port"
        outside = [str(self.not_numbers)] if self.not_numbers else []
        outside += [f"{protocol}/{name}" for protocol, name in self.not_names]
        return f"{text} without {', '.join(outside)}" if outside else text


ANY_PORT: Final = PortMatch()


@dataclass(frozen=True, slots=True)
class Request:
    """What a connection carries above layer 4, as far as it is known; for the mesh's rules."""

    method: str = ""
    path: str = ""
    host: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class RequestMatch(Protocol):
    """A condition above layer 4. None means that it cannot be told from what is known."""

    def matches(self, identity: str | None, request: Request | None) -> bool | None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule. Compared by identity: a rule is a place in an object.

    `far` is the other end, `near` an extra condition on the protected end. `certain` False: a condition that driftd
    cannot decide (named in `note`) may make it match less. `request` is judged where the connection tells.
    """

    action: Action
    far: Peer
    where: str
    ports: PortMatch = ANY_PORT
    near: Peer = ANYONE
    certain: bool = True
    note: str = ""
    request: RequestMatch | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.action} {self.far}, {self.ports}"


@dataclass(frozen=True, slots=True, order=True)
class Tier:
    """A stage of the ordered walk: lower order first, then name.

    `default` is what happens at its end to connections no rule decided, if any policy applies. `open_ports` is
    traffic whose fate at that end the dialect leaves open.
    """

    order: float
    name: str
    default: Action = Action.DENY
    open_ports: PortSet = field(default=NONE, compare=False)
    certain: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """One policy object as the walk needs it. Compared by identity: a changed object is another Policy.

    `ingress` or `egress` is None where the policy does not apply in that direction. `namespace` is not empty when
    the subject lies within it. `certain` False: it may not be in force at all. `notes` name everything that was not
    understood and thereby widened the answer. Within a tier, `rank` orders policies; `ambiguous` is a key shared by
    policies whose mutual order is undefined ("" when defined).
    """

    ref: ObjectRef
    tier: str
    rank: tuple[float, str]
    subject: Peer
    ingress: tuple[Rule, ...] | None
    egress: tuple[Rule, ...] | None
    namespace: str = ""
    certain: bool = True
    notes: tuple[str, ...] = ()
    ambiguous: str = ""

    def rules(self, flow: Flow) -> tuple[Rule, ...] | None:
        return self.ingress if flow is Flow.INGRESS else self.egress


def distrusting(policy: Policy) -> Policy:
    """The policy as it must be judged when labels outside of governed namespaces are chosen by their owners."""
    return replace(
        policy,
        ingress=None if policy.ingress is None else tuple(_distrusting(rule) for rule in policy.ingress),
        egress=None if policy.egress is None else tuple(_distrusting(rule) for rule in policy.egress),
    )


def _distrusting(rule: Rule) -> Rule:
    far = _served(rule.far, rule.action)
    return rule if far is rule.far else replace(rule, far=far)


@lru_cache(maxsize=4_096)
def _serving(peer: Pods, action: Action) -> Pods:
    """One object for one meaning, as where it was read."""
    return replace(peer, serving=action)


def _served(peer: Peer, action: Action) -> Peer:
    match peer:
        case Pods():
            if peer.labels == ALWAYS:
                return peer
            return (_serving if is_little(peer.labels) else _serving.__wrapped__)(peer, action)
        case Both(parts) | Either(parts):
            served = tuple(_served(part, action) for part in parts)
            return peer if all(map(is_, served, parts)) else replace(peer, parts=served)
        case Unless(part) | Perhaps(part, _):
            # What an exclusion takes out, its owner would not let himself be taken out by.
            turned = Action.DENY if action is Action.ALLOW and isinstance(peer, Unless) else action
            return replace(peer, part=_served(part, turned))
        case Anyone() | Nobody() | Block() | Hosts():
            return peer


def peers_of(policy: Policy) -> tuple[Peer, ...]:
    """Every peer expression of the policy: the subject, then the rules' ends."""
    found: list[Peer] = [policy.subject]
    for rules in (policy.ingress, policy.egress):
        for rule in rules or ():
            found.append(rule.far)
            if rule.near is not ANYONE:
                found.append(rule.near)
    return tuple(found)


def leaves(peer: Peer) -> tuple[Leaf, ...]:
    """The conditions that an expression is made of."""
    match peer:
        case Pods() | Block() | Hosts():
            return (peer,)
        case Both(parts) | Either(parts):
            return tuple([leaf for part in parts for leaf in leaves(part)])
        case Unless(part) | Perhaps(part, _):
            return leaves(part)
        case Anyone() | Nobody():
            return ()


def open_ended(peer: Peer) -> bool:
    """Whether the expression can match a class that none of its leaves matches."""
    match peer:
        case Anyone() | Unless():
            return True
        case Both(parts):
            return all(open_ended(part) for part in parts)
        case Either(parts):
            return any(open_ended(part) for part in parts)
        case Perhaps(part, _):
            return open_ended(part)
        case _:
            return False
