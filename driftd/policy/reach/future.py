"""Pods that could exist tomorrow: one for every way of labelling a pod that a change can touch, within a bound.

A change that concerns nobody today may open a door for the next pod. So both snapshots get the same imagined pods,
and the ordinary delta is taken between the two.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count, islice, product
from math import prod
from typing import Final, TypeAlias

from driftd.policy.reach.endpoints import IN_NAMESPACE, Labels
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
    peers_of,
)
from driftd.policy.reach.relation import positions
from driftd.policy.reach.selectors import ALWAYS, And, LabelIndex, Selector, keys_of, values_of
from driftd.policy.reach.snapshot import Snapshot
from driftd.values import Body, ObjectRef

_Options: TypeAlias = dict[str, list[str | None]]
_NAME: Final = "kubernetes.io/metadata.name"
SOMEWHERE: Final = "any-other-namespace"
_OTHER: Final = "any-other-value"
_FIRST_PORT: Final = 40_000
_MOST_TRIED: Final = 4_096
"""Ways of labelling that a judgement looks at. A selector of twenty sets of values has thousands of millions."""
_SOME: Final = 1_000
"""Ways of one selector that are looked at where it has more than may be."""


@dataclass(frozen=True, slots=True)
class Imagined:
    """Objects to put into both snapshots. `complete` False: there were more ways than the bound allowed to try."""

    objects: tuple[Body | Pod, ...]
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
        return Imagined((), complete=True)
    dreamer = _Dreamer(after, bound)
    ports = _port_names(policies)
    said = dict.fromkeys(leaf for policy in policies for peer in peers_of(policy) for leaf in leaves(peer))
    known = bool(after.core.endpoints.surroundings.pods)
    if policies and (known or not any(isinstance(leaf, Block) and not leaf.listed for leaf in said)):
        dreamer.dream_of_strangers(ports)
    for leaf in said:
        if isinstance(leaf, Pods):
            dreamer.dream(leaf, ports)
    for name in relabelled:
        dreamer.dream(Pods(namespace=name), ports)
    return Imagined(tuple(dreamer.objects()), complete=dreamer.complete)


def _matches(selector: Selector, name: str, labels: dict[str, str]) -> bool:
    """Whether a selector matches a namespace of that name and these labels."""
    index = LabelIndex()
    index.add({**labels, _NAME: name})
    return bool(index.match(selector))


class _Dreamer:
    def __init__(self, snapshot: Snapshot, bound: int) -> None:
        self._snapshot = snapshot
        self._left = bound
        self._untried = _MOST_TRIED
        self.complete = True
        self._found: dict[tuple[str, Labels, str, NamedPorts], None] = {}
        self._namespaces: dict[str, dict[str, str]] = {}
        self._served: dict[str, list[Selector]] = {}
        self._names = list(snapshot.namespaces)
        self._labels: LabelIndex | None = None

    def objects(self) -> Iterator[Body | Pod]:
        for name, labels in self._namespaces.items():
            yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for namespace, pairs, account, ports in self._found:
            words = ",".join(f"{key}={value}" for key, value in pairs) or "without labels"
            words += f" as {account}" if account != "default" else ""
            for copy in ("", "'"):
                name = f"{IMAGINED} {words}{' with ports' if ports else ''}{copy}"
                yield Pod(namespace, name, dict(pairs), account, ports=ports, owner=f"Future/{IMAGINED} {words}")

    def dream(self, peer: Pods, ports: NamedPorts) -> None:
        """Imagine pods that the expression matches, in each kind of namespace in which it may find them."""
        accounts = peer.accounts or ("default",)
        if self._left <= 0:
            self.complete = False
            return
        for namespace, view in self._places(peer):
            for labels in self._labellings(peer.labels, view):
                if not self._imagined(namespace, labels, accounts, ports):
                    return

    def dream_of_strangers(self, ports: NamedPorts) -> None:
        """Imagine pods in a namespace that nobody has made: what is open to anybody is open to them.

        Not beside address blocks where the pods' range is not known: any block could then be theirs.
        """
        home = self._invent(ALWAYS)
        if home is not None:
            self._imagined(home, (), ("default",), ports)

    def _imagined(self, namespace: str, labels: Labels, accounts: tuple[str, ...], ports: NamedPorts) -> bool:
        """Take in such pods, as each account, with these named ports and without; whether there was room."""
        for account, names in product(accounts, dict.fromkeys(((), ports))):
            key = (namespace, labels, account, names)
            if key not in self._found:
                if self._left <= 0:
                    self.complete = False
                    return False
                self._left -= 1
                self._found[key] = None
        return True

    def _places(self, peer: Pods) -> Iterator[tuple[str, NamespaceView | None]]:
        known = self._snapshot.namespaces
        if peer.namespace:
            yield peer.namespace, known.get(peer.namespace)
            return
        chosen = self._chosen(peer.namespaces)
        for name in chosen[:8]:
            yield name, known[name]
        if peer.labels != ALWAYS and len(chosen) > 8:
            self.complete = False
        invented = self._invent(peer.namespaces)
        if invented is not None:
            yield invented, None

    def _chosen(self, selector: Selector) -> list[str]:
        """The namespaces that a selector matches."""
        if selector == ALWAYS:
            return self._names
        if self._labels is None:
            self._labels = LabelIndex()
            for name in self._names:
                self._labels.add(dict(effective_labels(name, self._snapshot.namespaces[name].labels)))
        return [self._names[position] for position in positions(self._labels.match(selector))]

    def _invent(self, selector: Selector) -> str | None:
        """A namespace that does not exist yet and that the selector matches."""
        clash = False
        for labels in self._tried(_options(values_of(selector), selector, but=_NAME)):
            asked = labels.pop(_NAME, SOMEWHERE)
            name = self._free(asked, labels)
            if _matches(selector, name, labels):
                self._namespaces[name] = labels
                self._served.setdefault(name, []).append(selector)
                return name
            if asked in self._namespaces and _matches(selector, asked, labels):
                if self._share(asked, labels, selector):
                    return asked
                clash = True
        if clash:
            self.complete = False
        return None

    def _share(self, name: str, labels: dict[str, str], selector: Selector) -> bool:
        """Have an imagined namespace serve one selector more, with more labels if need be; whether it can."""
        both = {**self._namespaces[name], **labels}
        wanted = (*self._served[name], selector)
        if not all(_matches(one, name, both) for one in wanted):
            return False
        self._namespaces[name] = both
        self._served[name].append(selector)
        return True

    def _free(self, asked: str, labels: dict[str, str]) -> str:
        """The name that is asked for, or one like it that is free; one imagined with just these labels is, too."""
        names = (f"{asked}-{number}" if number else asked for number in count())
        free = (name for name in names if name not in self._snapshot.namespaces)
        return next(name for name in free if self._namespaces.get(name, labels) == labels)

    def _labellings(self, selector: Selector, view: NamespaceView | None) -> Iterator[tuple[tuple[str, str], ...]]:
        """Label sets that the selector matches, told apart by what else is looked at there."""
        own, context = values_of(selector), self._context(view)
        for key in own.keys() & context.keys():
            own[key] |= context.pop(key)
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
            surroundings = _assignments(_options(context, other=False))
        for extra in surroundings:
            for labels in matching:
                yield tuple(sorted({**extra, **labels}.items()))

    def _tried(self, options: _Options) -> Iterator[dict[str, str]]:
        """The ways to choose, or the first of them where they are more than may still be looked at."""
        ways = prod(map(len, options.values()))
        if ways > self._untried:
            self.complete = False
        for one in islice(_assignments(options), ways if ways <= self._untried else min(_SOME, self._untried)):
            self._untried -= 1
            yield one

    def _context(self, view: NamespaceView | None) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        policies = [*(view.policies.values() if view else ()), *self._snapshot.cluster.policies.values()]
        for policy in policies:
            for peer in peers_of(policy):
                for part in leaves(peer):
                    for key, values in values_of(part.labels).items() if isinstance(part, Pods) else ():
                        found.setdefault(key, set()).update(values)
        return found


def _options(
    values: Mapping[str, set[str]], selector: Selector = ALWAYS, *, other: bool = True, but: str = ""
) -> _Options:
    """What each key may have: nothing, one of its values, or (with `other`) a value nobody mentions.

    What a condition of the selector about that key alone does not match is left out, but for one key: of thirty labels
    that all must be there is one way, not three to the power of thirty.
    """
    options: _Options = {key: [None, *sorted(values[key]), *([_OTHER] if other else [])] for key in sorted(values)}
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
