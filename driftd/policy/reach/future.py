"""Pods that could exist tomorrow: one for every way of labelling a pod that a change can touch, within a bound.

A change that concerns nobody today may open a door for the next pod. So both snapshots get the same imagined pods,
and the ordinary delta is taken between the two.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import count, islice, product
from math import prod
from operator import or_
from typing import Final, TypeAlias

from driftd.policy.reach.endpoints import IN_NAMESPACE, Labels, labels_of
from driftd.policy.reach.inventory import NamespaceView, effective_labels
from driftd.policy.reach.pods import IMAGINED, NamedPorts, Pod, named_ports
from driftd.policy.reach.policies import (
    NOBODY,
    Action,
    Block,
    Both,
    Either,
    Peer,
    Perhaps,
    Pods,
    Policy,
    leaves,
    open_ended,
    peers_of,
)
from driftd.policy.reach.relation import positions
from driftd.policy.reach.selectors import (
    ALWAYS,
    And,
    LabelIndex,
    Selector,
    asks_presence,
    has_label,
    keys_of,
    reads_texts,
    values_of,
)
from driftd.policy.reach.snapshot import Snapshot
from driftd.values import Body, ObjectRef

_Options: TypeAlias = dict[str, list[str | None]]
_NAME: Final = "kubernetes.io/metadata.name"
SOMEWHERE: Final = "any-other-namespace"
_OTHER: Final = "any-other-value"
_HANDED_DOWN: Final = "pcns."
"""Before a namespace's label where Calico reads it as one of its pods'."""
_NOT_THEIRS: Final = (_HANDED_DOWN, "pcsa.", "projectcalico.org/")
_FIRST_PORT: Final = 40_000
_MOST_TRIED: Final = 4_096
"""Ways of labelling that a judgement looks at. A selector of twenty sets of values has thousands of millions."""
_SOME: Final = 1_000
"""Ways of one selector that are looked at where it has more than may be."""
_FEW: Final = 8
_MOST_SORTS: Final = 32
"""Namespaces that are told apart for one condition: existing ones, and ones to come."""
_MOST_VARIANTS: Final = 4
_MOST_FILLED: Final = 20_000
"""Ways of labelling a pod that are taken in or known already: a policy of a thousand rules says the same again."""
_MOST_ASKING: Final = 16
"""Policies that ask for a label of a namespace and whose own pods are imagined too, when it changes. Beyond them the
pods count that there are, and those that the model names."""


@dataclass(frozen=True, slots=True)
class Imagined:
    """Objects to put into both snapshots, one round after the other: a namespace to come has one set of labels in each.

    `complete` False: there were more ways than the bound allowed to try.
    """

    rounds: tuple[tuple[Body | Pod, ...], ...]
    complete: bool


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


def imagine(before: Snapshot, after: Snapshot, bound: int = 256) -> Imagined:
    """The pods to imagine for what differs between two snapshots of one lineage."""
    policies = changed_policies(before, after)
    relabelled = relabelled_namespaces(before, after)
    if not policies and not relabelled:
        return Imagined(((),), complete=True)
    blocks = [
        leaf for policy in policies for peer in peers_of(policy) for leaf in leaves(peer) if isinstance(leaf, Block)
    ]
    said = dict.fromkeys(leaf for policy in policies for leaf in _conditions(policy))
    telling = _telling(before, after, relabelled)
    asking = list(islice(dict.fromkeys(one for found in telling.values() for one in found), _MOST_ASKING))
    spaces = _Spaces(after)
    near = [leaf for one in (_Spaces(before), spaces) for leaf in _near(one, (*policies, *asking))]
    dreamer = _Dreamer(spaces, list(dict.fromkeys((*said, *telling, *near))), bound)
    ports = _port_names(policies)
    if policies and (after.core.endpoints.surroundings.pods or all(block.listed for block in blocks)):
        dreamer.dream_of_strangers(ports)
    if any(open_ended(rule.far) for policy in policies for rule in (*(policy.ingress or ()), *(policy.egress or ()))):
        dreamer.dream(Pods(), ports)
    for leaf in said:
        dreamer.dream(leaf, ports)
    for name in relabelled:
        dreamer.dream(Pods(namespace=name), ports)
    for subject in dict.fromkeys(one for policy in asking for one in leaves(policy.subject)):
        if isinstance(subject, Pods):
            dreamer.dream(subject, ports)
    return Imagined(tuple(dreamer.rounds()), complete=dreamer.complete)


def _conditions(policy: Policy) -> Iterator[Pods]:
    return (leaf for peer in peers_of(policy) for leaf in leaves(peer) if isinstance(leaf, Pods))


def _near(spaces: "_Spaces", policies: Iterable[Policy]) -> Iterator[Pods]:
    """What else decides about flows that changed policies speak of: the policies at either end."""
    homes = dict.fromkeys(
        name
        for policy in policies
        for leaf in (*([Pods(namespace=policy.namespace)] if policy.namespace else []), *_conditions(policy))
        for name in spaces.few(leaf)
    )
    snapshot = spaces.snapshot
    for name in homes:
        for policy in snapshot.namespaces[name].policies.values():
            yield from _conditions(policy)
    for policy in snapshot.cluster.policies.values():
        if any(spaces.selects_in(policy, name) for name in homes):
            yield from _conditions(policy)


def _telling(before: Snapshot, after: Snapshot, relabelled: Iterable[str]) -> dict[Pods, list[Policy]]:
    """Conditions that namespaces meet otherwise than before their labels changed, and the policies that ask them."""
    keys = set[str]()
    for name in relabelled:
        was, now = before.namespaces.get(name), after.namespaces[name]
        keys |= {key for key, _ in set(now.labels.items()) ^ set((was.labels if was else {}).items())}
    return {
        leaf: [policy for policy, _ in uses if _stands(policy, after)]
        for leaf, uses in (after.core.watch.wide().items() if keys else ())
        if isinstance(leaf, Pods) and not keys.isdisjoint(keys_of(leaf.namespaces))
    }


def _stands(policy: Policy, snapshot: Snapshot) -> bool:
    view = snapshot.namespaces.get(policy.namespace)
    shelf = snapshot.cluster.policies if not policy.namespace else view.policies if view else {}
    return shelf.get(policy.ref) is policy


@dataclass(frozen=True, slots=True)
class _Place:
    """A namespace in which pods are imagined. One to come has no `view`, and of that name it is one `variant`."""

    name: str
    view: NamespaceView | None
    labels: Mapping[str, str]
    variant: int = 0
    _index: LabelIndex = field(default_factory=LabelIndex, init=False, compare=False)

    def __post_init__(self) -> None:
        self._index.add({**self.labels, _NAME: self.name})

    def may_hold(self, peer: Pods) -> bool:
        """Whether pods that a condition matches may be there."""
        return peer.namespace == self.name if peer.namespace else bool(self._index.match(peer.namespaces))

    def meets(self, selector: Selector) -> bool:
        return bool(self._index.match(selector))

    def selected_by(self, policy: Policy) -> bool:
        """Whether a policy may select pods there."""
        conditions = leaves(policy.subject)
        return not conditions or any(not isinstance(one, Pods) or self.may_hold(one) for one in conditions)


class _Spaces:
    """The namespaces of a snapshot, by what they are asked."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.names = list(snapshot.namespaces)
        self._places: dict[str, _Place] = {}
        self._labels: LabelIndex | None = None

    def place(self, name: str) -> _Place:
        if name not in self._places:
            view = self.snapshot.namespaces[name]
            self._places[name] = _Place(name, view, view.labels)
        return self._places[name]

    def selects_in(self, policy: Policy, name: str) -> bool:
        """Whether a policy may select pods of a namespace."""
        return self.place(name).selected_by(policy)

    def few(self, peer: Pods) -> list[str]:
        """Namespaces in which there may be pods that a condition matches, up to a few."""
        if peer.namespace:
            return [peer.namespace] if peer.namespace in self.snapshot.namespaces else []
        return self.chosen(peer.namespaces)[:_FEW]

    def chosen(self, selector: Selector) -> list[str]:
        """The namespaces that a selector matches."""
        if selector == ALWAYS:
            return self.names
        return [self.names[position] for position in positions(self.index().match(selector))]

    def index(self) -> LabelIndex:
        """Each namespace by its labels, at its place among the names."""
        if self._labels is None:
            self._labels = LabelIndex()
            for name in self.names:
                self._labels.add(dict(effective_labels(name, self.snapshot.namespaces[name].labels)))
        return self._labels


class _Dreamer:
    """`near` are the conditions that decide whether a flow to or from the pods in question is allowed."""

    def __init__(self, spaces: _Spaces, near: Sequence[Pods], bound: int) -> None:
        self._spaces = spaces
        self._snapshot = spaces.snapshot
        self._near = near
        self._left = bound
        self._untried = _MOST_TRIED
        self._found: dict[tuple[str, int, Labels, str, NamedPorts], None] = {}
        self._namespaces: dict[str, list[dict[str, str]]] = {}
        self._strangers: dict[Labels, str] = {}
        self._names = _others(SOMEWHERE)
        self._asked: dict[tuple[str, int], dict[str, set[str]]] = {}
        self._places: dict[tuple[str, Selector], list[_Place]] = {}
        self._filled = 0
        self._mentioned: set[str] = {leaf.namespace for leaf in near}
        for selector in (one for leaf in near for one in (leaf.labels, leaf.namespaces)):
            self._mentioned.update(*values_of(selector).values())
        self._told = self._of_namespaces()
        self._named = self._told.pop(_NAME, set()) | {leaf.namespace for leaf in near if leaf.namespace}
        self._named -= self._snapshot.namespaces.keys()
        self._accounts = sorted({account for leaf in near for account in leaf.accounts})
        self.complete = True

    def rounds(self) -> Iterator[tuple[Body | Pod, ...]]:
        """The objects, as often as there are variants of one namespace: only one of those can be there at a time."""
        for turn in range(max(map(len, self._namespaces.values()), default=1)):
            namespaces = [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": variants[turn]}}
                for name, variants in self._namespaces.items()
                if turn < len(variants)
            ]
            pods = [
                self._pod(namespace, pairs, account, ports, copy)
                for namespace, variant, pairs, account, ports in self._found
                if namespace not in self._namespaces or variant == turn
                for copy in ("", "'")
            ]
            yield (*namespaces, *pods)

    def _pod(self, namespace: str, pairs: Labels, account: str, ports: NamedPorts, copy: str) -> Pod:
        words = ",".join(f"{key}={value}" for key, value in pairs) or "without labels"
        words += f" as {account}" if account != "default" else ""
        name = f"{IMAGINED} {words}{' with ports' if ports else ''}{copy}"
        return Pod(namespace, name, dict(pairs), account, ports=ports, owner=f"Future/{IMAGINED} {words}")

    def dream(self, peer: Pods, ports: NamedPorts) -> None:
        """Imagine pods that the expression matches, in each kind of namespace in which it may find them."""
        if peer.account_labels != ALWAYS or reads_texts(peer.labels) or reads_texts(peer.namespaces):
            self.complete = False  # who wears an account's labels, and what is between values, is not imagined
        if self._left <= 0:
            self.complete = False
            return
        for place in self._places_of(peer):
            if not self._fill(place, peer, ports):
                return

    def dream_of_strangers(self, ports: NamedPorts) -> None:
        """Imagine pods in namespaces that nobody has made: what is open to anybody is open to them.

        Not beside address blocks where the pods' range is not known: any block could then be theirs.
        """
        for place in self._invent(ALWAYS):
            if not self._fill(place, Pods(), ports):
                return

    def _fill(self, place: _Place, peer: Pods, ports: NamedPorts) -> bool:
        """Imagine pods there that the expression matches, told apart by what else is asked; whether there was room."""
        accounts = peer.accounts or dict.fromkeys(("default", *self._accounts))
        if self._accounts and not peer.accounts:
            accounts = (*accounts, self._unlike(accounts))
        for labels in self._labellings(peer.labels, place):
            self._filled += 1
            if self._filled > _MOST_FILLED:
                self.complete = False
                return False
            for account, names in product(accounts, dict.fromkeys(((), ports))):
                key = (place.name, place.variant, labels, account, names)
                if key not in self._found:
                    if self._left <= 0:
                        self.complete = False
                        return False
                    self._left -= 1
                    self._found[key] = None
        return True

    def _places_of(self, peer: Pods) -> list[_Place]:
        key = (peer.namespace, peer.namespaces)
        if key not in self._places:
            self._places[key] = self._found_places(*key)
        if peer.labels != ALWAYS and not peer.namespace:
            here = sum(place.view is not None for place in self._places[key])
            self.complete = self.complete and len(self._spaces.chosen(peer.namespaces)) == here
        return self._places[key]

    def _found_places(self, name: str, selector: Selector) -> list[_Place]:
        if name in self._snapshot.namespaces:
            return [self._spaces.place(name)]
        if name:
            return list(self._invent(has_label(_NAME, name)))
        chosen = self._spaces.chosen(selector)
        few = dict.fromkeys((*chosen[:_FEW], *self._unlike_each_other(chosen)))
        return [*map(self._spaces.place, few), *self._invent(selector)]

    def _unlike_each_other(self, chosen: Sequence[str]) -> list[str]:
        """Of many namespaces one of each sort that the conditions tell apart."""
        if len(chosen) <= _FEW:
            return []
        index, names = self._spaces.index(), self._spaces.names
        places = {name: position for position, name in enumerate(names)}
        sorts = [reduce(or_, (1 << places[name] for name in chosen))]
        for name, selector in dict.fromkeys((peer.namespace, peer.namespaces) for peer in self._near):
            wanted = 1 << places[name] if name in places else index.match(selector)
            sorts = [part for one in sorts for part in (one & wanted, one & ~wanted) if part]
            if len(sorts) > _MOST_SORTS:
                self.complete = False
                break
        return [names[(sort & -sort).bit_length() - 1] for sort in sorts]

    def _invent(self, selector: Selector) -> Iterator[_Place]:
        """Namespaces that do not exist yet and that the selector matches, told apart by what else is asked of them."""
        if self._untried <= 0:
            self.complete = False
            return
        own = values_of(selector)
        names = sorted((own.pop(_NAME, set()) | self._named) - self._snapshot.namespaces.keys())
        for key in own:
            own[key] |= self._told.get(key, set())
            own[key].add(self._unlike(own[key]))
        left = _MOST_SORTS
        for labels in self._tried(_options({**self._told, **own}, selector, but=_NAME)):
            for name in ("", *names):
                place = self._to_come(name, labels, selector)
                if place is None:
                    continue
                if not left:
                    self.complete = False
                    return
                left -= 1
                yield place

    def _to_come(self, asked: str, labels: dict[str, str], selector: Selector) -> _Place | None:
        """The namespace of that name with these labels, or of any name that nobody mentions; None: it is not meant."""
        name = asked or self._stranger(labels)
        if not _Place(name, None, labels).meets(selector):
            return None
        variants = self._namespaces.setdefault(name, [])
        if labels not in variants:
            if len(variants) == _MOST_VARIANTS:
                self.complete = False
                return None
            variants.append(labels)
        return _Place(name, None, labels, variants.index(labels))

    def _stranger(self, labels: dict[str, str]) -> str:
        """A name that no namespace has, no condition mentions, and none that is imagined with other labels."""
        wanted = labels_of(labels)
        if wanted not in self._strangers:
            self._strangers[wanted] = next(
                name for name in self._names if name not in self._mentioned and name not in self._snapshot.namespaces
            )
        return self._strangers[wanted]

    def _unlike(self, values: Collection[str]) -> str:
        """A value that nobody mentions."""
        return next(value for value in _others(_OTHER) if value not in values and value not in self._mentioned)

    def _of_namespaces(self) -> dict[str, set[str]]:
        """What conditions ask of namespaces' labels, and policies of no namespace of those whose pods they select."""
        asked = [leaf.namespaces for leaf in self._near if not leaf.namespace]
        for policy in self._snapshot.cluster.policies.values():
            asked += [leaf.namespaces for leaf in leaves(policy.subject) if isinstance(leaf, Pods)]
        found = self._values(asked)
        for key, values in self._values(leaf.labels for leaf in self._near).items():
            if key.startswith(_HANDED_DOWN):
                found.setdefault(key.removeprefix(_HANDED_DOWN), set()).update(values)
        return found

    def _values(self, selectors: Iterable[Selector]) -> dict[str, set[str]]:
        """By key, the values that selectors tell apart, with one that none of them mentions where that matters."""
        found: dict[str, set[str]] = {}
        present = set[str]()
        for selector in dict.fromkeys(selectors):
            for key, values in values_of(selector).items():
                found.setdefault(key, set()).update(values)
            present |= asks_presence(selector)
        for key in present:
            found[key].add(self._unlike(found[key]))
        return found

    def _labellings(self, selector: Selector, place: _Place) -> Iterator[tuple[tuple[str, str], ...]]:
        """Label sets that the selector matches, told apart by what else is looked at there."""
        own, context = values_of(selector), dict(self._context(place))
        for key in own:
            own[key] |= context.pop(key, set())
            own[key].add(self._unlike(own[key]))
        choices = list(self._tried(_options(own, selector)))
        index = LabelIndex()
        for labels in choices:
            index.add(labels)
        matching = [choices[position] for position in positions(index.match(selector))]
        wide = prod((len(values) + 1 for values in context.values()), start=1)
        surroundings: Iterable[dict[str, str]]
        if wide * max(len(matching), 1) > self._left:
            self.complete = False
            surroundings = [{}, *({key: value} for key, values in context.items() for value in sorted(values))]
        else:
            surroundings = _assignments(_options(context))
        for extra in surroundings:
            for labels in matching:
                yield labels_of({**extra, **labels})

    def _tried(self, options: _Options) -> Iterator[dict[str, str]]:
        """The ways to choose, or the first of them where they are more than may still be looked at."""
        ways = prod(map(len, options.values()))
        if ways > self._untried:
            self.complete = False
        for one in islice(_assignments(options), ways if ways <= self._untried else min(_SOME, self._untried)):
            self._untried -= 1
            yield one

    def _context(self, place: _Place) -> dict[str, set[str]]:
        """What is asked of the labels of pods there, but for those that Calico gives them."""
        found = self._asked.get((place.name, place.variant))
        if found is None:
            found = self._asked[place.name, place.variant] = self._asked_in(place)
        return found

    def _asked_in(self, place: _Place) -> dict[str, set[str]]:
        policies = list(place.view.policies.values()) if place.view else []
        policies += [policy for policy in self._snapshot.cluster.policies.values() if place.selected_by(policy)]
        asked = [leaf for policy in policies for leaf in _conditions(policy)]
        found = self._values(leaf.labels for leaf in (*asked, *self._near) if place.may_hold(leaf))
        return {key: values for key, values in found.items() if not key.startswith(_NOT_THEIRS)}


def _others(word: str) -> Iterator[str]:
    """A word, and as many like it as are asked for."""
    return (f"{word}-{number}" if number else word for number in count())


def _options(values: Mapping[str, set[str]], selector: Selector = ALWAYS, *, but: str = "") -> _Options:
    """What each key may have: nothing, or one of its values.

    What a condition of the selector about that key alone does not match is left out, but for one key: of thirty labels
    that all must be there is one way, not three to the power of thirty.
    """
    options: _Options = {key: [None, *sorted(values[key])] for key in sorted(values)}
    for part in selector.parts if isinstance(selector, And) else (selector,):
        keys = keys_of(part)
        if len(keys) == 1 and but not in keys:
            (key,) = keys
            index = LabelIndex()
            for value in options[key]:
                index.add({} if value is None else {key: value})
            options[key] = [options[key][position] for position in positions(index.match(part))]
    return options


def _assignments(options: _Options) -> Iterator[dict[str, str]]:
    """Every way to choose, few labels first: the plainest pods are tried whatever the bound is."""
    for choice in product(*options.values()):
        yield {key: value for key, value in zip(options, choice, strict=True) if value is not None}


def _port_names(policies: Iterable[Policy]) -> NamedPorts:
    names = sorted(
        {
            name
            for policy in policies
            for rules in (policy.ingress, policy.egress)
            for rule in rules or ()
            for name in (*rule.ports.names, *rule.ports.not_names)
        }
    )
    return named_ports((name, (_FIRST_PORT + index,)) for index, name in enumerate(names))
