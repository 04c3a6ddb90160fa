"""One case: a random cluster and what became of it after an edit or two, by number."""

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.campaign.search.pods import NAMESPACES, Shape
from tests.campaign.search.tiers import TieredDice
from tests.oracle.bodies import Body, Cluster

SHAPES = (
    *(Shape("NetworkPolicy", dialect, odd) for dialect in ("kubernetes", "calico", "cilium") for odd in (False, True)),
    Shape("admin policies", "kubernetes", odd=False),
    Shape("admin policies", "kubernetes", odd=True),
    Shape("admin policies", "cilium", odd=True),
    *(Shape("Calico tiers", "calico", odd) for odd in (False, False, False, True)),
)
"""What is searched, in turn. Where nothing is left open both sides must say the same; else one interval the other's."""

_SHELVES = ("policies", "policies", "policies", "others", "pods", "namespaces")


@dataclass(frozen=True)
class Case:
    """Two clusters, the second an edit of the first; `number` and `seed` make it again."""

    seed: str
    number: int
    shape: Shape
    before: Cluster
    after: Cluster

    @property
    def steps(self) -> Random:
        """A source of draws for whoever asks questions about the case."""
        return Random(f"{self.seed}/{self.number}/questions")


def case(seed: str, number: int) -> Case:
    """The case of a number: the same for ever for one seed."""
    shape = SHAPES[number % len(SHAPES)]
    dice = TieredDice(Random(f"{seed}/{number}"), shape)
    before = _cluster(dice)
    after = before
    for _ in range(dice.pick((1, 1, 1, 2, 3))):
        after = _edited(dice, after)
    return Case(seed, number, shape, before, after)


def _cluster(dice: TieredDice) -> Cluster:
    kinds = dice.shape.kinds
    policies = [dice.network_policy() for _ in range(dice.pick((0, 1, 1, 2, 2, 3)))]
    others: list[Body] = []
    if kinds == "Calico tiers":
        policies += [dice.calico_policy() for _ in range(dice.pick((0, 1, 2, 3, 4)))]
        policies += [dice.admin_policy() for _ in range(dice.pick((0, 0, 1)))]
        others = dice.others()
    elif kinds == "admin policies":
        policies += [dice.admin_policy() for _ in range(dice.pick((1, 1, 2, 3)))]
    return Cluster(
        namespaces=[dice.namespace(name) for name in NAMESPACES],
        pods=[dice.pod(index) for index in range(dice.pick((2, 3, 3, 4)))],
        policies=distinct(policies),
        others=distinct(others),
    )


def identity(body: Body) -> tuple[str, str, str]:
    """Kind, namespace and name: what no two objects share (a stored Calico object is the served one)."""
    kind = str(body["kind"]) + ("!" if "calico" in str(body["apiVersion"]) else "")
    return kind, str(body["metadata"].get("namespace") or ""), str(body["metadata"]["name"])


def distinct(bodies: list[Body]) -> list[Body]:
    """The first object of each identity."""
    found: dict[tuple[str, str, str], Body] = {}
    for body in bodies:
        found.setdefault(identity(body), body)
    return list(found.values())


# -- edits ---------------------------------------------------------------------------------------------------------


def _edited(dice: TieredDice, cluster: Cluster) -> Cluster:
    """The cluster after one edit: an object added, removed, replaced, or one field of it changed."""
    shelf = dice.pick([name for name in _SHELVES if name in ("policies", "pods") or getattr(cluster, name)])
    bodies: list[Body] = list(getattr(cluster, shelf))
    form = dice.pick(("add", "remove", "replace", "touch", "touch"))
    if not bodies or (form == "add" and shelf != "namespaces"):
        fresh = dice.pod(len(bodies) + 4) if shelf == "pods" else _fresh(dice, shelf)
        return replace(cluster, **{shelf: distinct([*bodies, fresh])})
    old = dice.pick(bodies)
    if form == "remove" and shelf != "namespaces" and not _needed(dice, old):
        return replace(cluster, **{shelf: [body for body in bodies if body is not old]})
    new = _like(dice, old)
    if form == "touch":
        new = _touched(dice, old, new)
    return replace(cluster, **{shelf: [new if body is old else body for body in bodies]})


def _needed(dice: TieredDice, body: Body) -> bool:
    return body["kind"] == "Tier" and not dice.shape.odd


def _fresh(dice: TieredDice, shelf: str) -> Body:
    if shelf == "others":
        makers_of_others = (
            dice.network_set,
            dice.account,
            dice.slice,
            *((dice.host_endpoint,) if dice.shape.odd else ()),
        )
        return dice.pick(makers_of_others)()  # type: ignore[no-any-return]
    makers = {
        "NetworkPolicy": (dice.network_policy,),
        "admin policies": (dice.network_policy, dice.admin_policy),
        "Calico tiers": (dice.calico_policy, dice.calico_policy, dice.network_policy, dice.admin_policy),
    }
    return dice.pick(makers[dice.shape.kinds])()  # type: ignore[no-any-return]


def _like(dice: TieredDice, old: Body) -> Body:
    """Another object of the same kind and identity."""
    kind, group = str(old["kind"]).removeprefix("Staged"), str(old["apiVersion"])
    match kind:
        case "Pod":
            new = dice.pod(int(old["metadata"]["name"].removeprefix("pod-")))
        case "Namespace":
            new = dice.namespace(old["metadata"]["name"])
        case "Tier":
            new = dice.tier()
        case "GlobalNetworkSet" | "NetworkSet":
            new = dice.network_set()
        case "ServiceAccount":
            new = dice.account()
        case "EndpointSlice":
            new = dice.slice()
        case "HostEndpoint":
            new = dice.host_endpoint()
        case "ClusterNetworkPolicy":
            new = dice.admin_policy()
        case _ if "calico" in group:
            new = dice.calico_policy()
            while new["kind"].removeprefix("Staged") != kind:
                new = dice.calico_policy()
        case _:
            new = dice.network_policy()
    metadata = {**new["metadata"], "name": old["metadata"]["name"], "namespace": old["metadata"].get("namespace")}
    if metadata["namespace"] is None:
        del metadata["namespace"]
    return {**new, "apiVersion": group, "kind": old["kind"], "metadata": metadata}


def _touched(dice: TieredDice, old: Body, donor: Body) -> Body:
    """The object with one part from a donor of its kind: the small edits people make."""
    found = deepcopy(old)
    parts: list[tuple[str, str]] = [
        (section, key)
        for section in ("spec", "metadata")
        for key in {**(old.get(section) or {}), **(donor.get(section) or {})}
        if (section, key) not in _FIXED
    ]
    if not parts:
        return donor
    section, key = dice.pick(sorted(parts))
    if key in (donor.get(section) or {}):
        found[section][key] = donor[section][key]
    elif (old["kind"], key) not in _REQUIRED:
        found[section].pop(key, None)
    return found


_FIXED = frozenset({("metadata", "name"), ("metadata", "namespace"), ("spec", "nodeName"), ("spec", "hostNetwork")})
_REQUIRED = frozenset(("ClusterNetworkPolicy", key) for key in ("tier", "priority", "subject"))


# -- telling -------------------------------------------------------------------------------------------------------

_WORDS = frozenset({"action", "operator", "protocol", "tier", "phase", "kind"})


def features(cases: Case) -> Counter[str]:
    """The fields, kinds and named choices that occur in a case, each counted once."""
    bodies = [*cases.before.policies, *cases.before.others, *cases.after.policies, *cases.after.others]
    seen = {word for body in bodies for word in (f"kind {body['kind']}", *_words(body.get("spec") or {}, ""))}
    pods = [body["spec"] for body in cases.before.pods]
    seen |= {word for word in ("hostNetwork", "initContainers") if any(spec.get(word) for spec in pods)}
    return Counter(seen)


def _words(value: Any, field: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, part in value.items():
            if key.isidentifier():
                yield key if part or part == 0 else f"{key}: {'null' if part is None else 'empty'}"
            yield from _words(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from _words(part, field)
    elif field in _WORDS:
        yield f"{field}: {value}"
    elif field in ("port", "ports", "notPorts") and isinstance(value, str):
        yield f"{field}: a range" if ":" in value else f"{field}: a name"
