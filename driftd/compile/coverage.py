"""What of a Namespace counts in this model: labels that selectors read, keys that manifests name, whose it is."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from driftd.model import Model
from driftd.policy.kinds import Coverage
from driftd.policy.reach import MalformedSelector, calico_selector, keys_of
from driftd.values import Body


def coverage_of(model: Model) -> Coverage:
    """The coverage of a model.

    Only plain manifests can add keys to it: compiled policies name other namespaces by `kubernetes.io/metadata.name`
    alone, which is covered anyway. A selector key counts on every governed Namespace, since a label that appears there
    makes the namespace a match. A namespace of a plain manifest may be anybody's: `driftd adopt` writes them.
    """
    read: set[str] = set()
    named: dict[str, frozenset[str]] = {}
    for manifest in model.manifests:
        if manifest.ref.kind == "Namespace":
            metadata = manifest.body["metadata"]
            named[manifest.ref.name] = frozenset(
                [*(metadata.get("labels") or ()), *(metadata.get("annotations") or ())]
            )
        else:
            read.update(_namespace_keys(manifest.body))
    environments = model.environments.values()
    created = frozenset(one.namespace for one in environments if one.spec.namespace.lifecycle == "create")
    return Coverage(frozenset(read), named, created)


def _namespace_keys(body: Body) -> Iterator[str]:
    """Keys of every `namespaceSelector` anywhere in an object."""
    waiting: list[Any] = [body]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting.extend(found)
        elif isinstance(found, dict):
            waiting.extend(found.values())
            if isinstance(chosen := found.get("namespaceSelector"), dict):
                yield from _selector_keys(chosen)
            elif isinstance(chosen, str):
                yield from _calico_keys(chosen)


def _calico_keys(text: str) -> Iterator[str]:
    """A selector that cannot be read reads nothing: the compiler tells of it with its place."""
    with suppress(MalformedSelector):
        yield from keys_of(calico_selector(text))


def _selector_keys(selector: Body) -> Iterator[str]:
    labels = selector.get("matchLabels")
    if isinstance(labels, dict):
        yield from labels
    expressions = selector.get("matchExpressions")
    for one in expressions if isinstance(expressions, list) else ():
        if isinstance(one, dict) and isinstance(one.get("key"), str):
            yield one["key"]
