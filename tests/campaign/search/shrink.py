"""A failing case made small: objects, edits and fields are taken away for as long as it still fails."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from tests.campaign.search.cases import Case, identity
from tests.oracle.bodies import Body, Cluster

SHELVES = ("namespaces", "pods", "policies", "others")
_KEPT = frozenset({"apiVersion", "kind", "metadata", "name", "namespace", "status", "spec"})


@dataclass(frozen=True)
class _Thing:
    """One object before and after; None where it does not exist."""

    shelf: str
    before: Body | None
    after: Body | None


def shrunk(case: Case, fails: Callable[[Case], bool]) -> Case:
    """The smallest case that taking away leads to; `fails` says whether one still does."""
    things = _things(case)
    going = True
    while going:
        going = False
        for smaller in _smaller(things):
            candidate = _case(case, smaller)
            if fails(candidate):
                things, going = smaller, True
                break
    return _case(case, things)


def _things(case: Case) -> list[_Thing]:
    found: list[_Thing] = []
    for shelf in SHELVES:
        was = {identity(body): body for body in getattr(case.before, shelf)}
        now = {identity(body): body for body in getattr(case.after, shelf)}
        found.extend(_Thing(shelf, was.get(key), now.get(key)) for key in {**was, **now})
    return found


def _case(case: Case, things: Sequence[_Thing]) -> Case:
    def cluster(when: str) -> Cluster:
        shelves: dict[str, list[Body]] = {shelf: [] for shelf in SHELVES}
        for thing in things:
            body = getattr(thing, when)
            if body is not None:
                shelves[thing.shelf].append(body)
        return Cluster(**shelves)

    return replace(case, before=cluster("before"), after=cluster("after"))


def _smaller(things: list[_Thing]) -> Iterator[list[_Thing]]:
    for index, thing in enumerate(things):
        yield [*things[:index], *things[index + 1 :]]
        if thing.before != thing.after and thing.before is not None:
            yield [*things[:index], replace(thing, after=thing.before), *things[index + 1 :]]
    for index, thing in enumerate(things):
        paths = {*_paths(thing.before, ()), *_paths(thing.after, ())}
        for path in sorted(paths, key=lambda path: (len(path), str(path))):
            less = replace(thing, before=_without(thing.before, path), after=_without(thing.after, path))
            yield [*things[:index], less, *things[index + 1 :]]


def _paths(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Where something could be taken away."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key not in _KEPT or len(path) > 1:
                yield (*path, key)
            yield from _paths(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield (*path, index)
            yield from _paths(part, (*path, index))


def _without(body: Body | None, path: tuple[Any, ...]) -> Body | None:
    if body is None:
        return None
    found = deepcopy(body)
    place: Any = found
    for step in path[:-1]:
        if not isinstance(place, dict | list) or (isinstance(place, dict) and step not in place):
            return found
        if isinstance(place, list) and not (isinstance(step, int) and step < len(place)):
            return found
        place = place[step]
    last = path[-1]
    if isinstance(place, dict):
        place.pop(last, None)
    elif isinstance(place, list) and isinstance(last, int) and last < len(place):
        place.pop(last)
    return found
