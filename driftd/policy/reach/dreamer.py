"""Imagines pods: in each sort of namespace, with each set of labels, that conditions tell apart, within bounds."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import count, islice, product
from math import prod
from operator import or_
from typing import Final, TypeAlias

from driftd.policy.reach.endpoints import Labels, labels_of
from driftd.policy.reach.places import FEW, NAME, Place, Spaces, conditions
from driftd.policy.reach.pods import IMAGINED, NamedPorts, Pod
from driftd.policy.reach.policies import Pods, leaves
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
from driftd.values import Body

_Options: TypeAlias = dict[str, list[str | None]]
SOMEWHERE: Final = "any-other-namespace"
_OTHER: Final = "any-other-value"
_HANDED_DOWN: Final = "pcns."
"""Before a namespace's label where Calico reads it as one of its pods'."""
_NOT_THEIRS: Final = (_HANDED_DOWN, "pcsa.", "projectcalico.org/")
_MOST_TRIED: Final = 4_096
"""Ways of labelling that a judgement looks at. A selector of twenty sets of values has thousands of millions."""
_SOME: Final = 1_000
"""Ways of one selector that are looked at where it has more than may be."""
_MOST_SORTS: Final = 32
"""Namespaces that are told apart for one condition: existing ones, and ones to come."""
_MOST_VARIANTS: Final = 4
_MOST_FILLED: Final = 20_000
"""Ways of labelling a pod that are taken in or known already: a policy of a thousand rules says the same again."""


class Dreamer:
    """`near` are the conditions that decide whether a flow to or from the pods in question is allowed."""

    def __init__(self, spaces: Spaces, near: Sequence[Pods], bound: int) -> None:
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
        self._places: dict[tuple[str, Selector], list[Place]] = {}
        self._filled = 0
        self._mentioned: set[str] = {leaf.namespace for leaf in near}
        for selector in (one for leaf in near for one in (leaf.labels, leaf.namespaces)):
            self._mentioned.update(*values_of(selector).values())
        self._told = self._of_namespaces()
        self._named = self._told.pop(NAME, set()) | {leaf.namespace for leaf in near if leaf.namespace}
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

    def _fill(self, place: Place, peer: Pods, ports: NamedPorts) -> bool:
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

    def _places_of(self, peer: Pods) -> list[Place]:
        key = (peer.namespace, peer.namespaces)
        if key not in self._places:
            self._places[key] = self._found_places(*key)
        if peer.labels != ALWAYS and not peer.namespace:
            here = sum(place.view is not None for place in self._places[key])
            self.complete = self.complete and len(self._spaces.chosen(peer.namespaces)) == here
        return self._places[key]

    def _found_places(self, name: str, selector: Selector) -> list[Place]:
        if name in self._snapshot.namespaces:
            return [self._spaces.place(name)]
        if name:
            return list(self._invent(has_label(NAME, name)))
        chosen = self._spaces.chosen(selector)
        few = dict.fromkeys((*chosen[:FEW], *self._unlike_each_other(chosen)))
        return [*map(self._spaces.place, few), *self._invent(selector)]

    def _unlike_each_other(self, chosen: Sequence[str]) -> list[str]:
        """Of many namespaces one of each sort that the conditions tell apart."""
        if len(chosen) <= FEW:
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

    def _invent(self, selector: Selector) -> Iterator[Place]:
        """Namespaces that do not exist yet and that the selector matches, told apart by what else is asked of them."""
        if self._untried <= 0:
            self.complete = False
            return
        own = values_of(selector)
        names = sorted((own.pop(NAME, set()) | self._named) - self._snapshot.namespaces.keys())
        for key in own:
            own[key] |= self._told.get(key, set())
            own[key].add(self._unlike(own[key]))
        left = _MOST_SORTS
        for labels in self._tried(_options({**self._told, **own}, selector, but=NAME)):
            for name in ("", *names):
                place = self._to_come(name, labels, selector)
                if place is None:
                    continue
                if not left:
                    self.complete = False
                    return
                left -= 1
                yield place

    def _to_come(self, asked: str, labels: dict[str, str], selector: Selector) -> Place | None:
        """The namespace of that name with these labels, or of any name that nobody mentions; None: it is not meant."""
        name = asked or self._stranger(labels)
        if not Place(name, None, labels).meets(selector):
            return None
        variants = self._namespaces.setdefault(name, [])
        if labels not in variants:
            if len(variants) == _MOST_VARIANTS:
                self.complete = False
                return None
            variants.append(labels)
        return Place(name, None, labels, variants.index(labels))

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

    def _labellings(self, selector: Selector, place: Place) -> Iterator[tuple[tuple[str, str], ...]]:
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

    def _context(self, place: Place) -> dict[str, set[str]]:
        """What is asked of the labels of pods there, but for those that Calico gives them."""
        found = self._asked.get((place.name, place.variant))
        if found is None:
            found = self._asked[place.name, place.variant] = self._asked_in(place)
        return found

    def _asked_in(self, place: Place) -> dict[str, set[str]]:
        policies = list(place.view.policies.values()) if place.view else []
        policies += [policy for policy in self._snapshot.cluster.policies.values() if place.selected_by(policy)]
        asked = [leaf for policy in policies for leaf in conditions(policy)]
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
