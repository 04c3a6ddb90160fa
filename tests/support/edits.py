"""Every way to change one covered field of a live object: each leaf set, each key and element removed, others added.

Written from the API types and from what the model covers (whole specs, own metadata, the label keys that decide
isolation), not from driftd's canonical forms, so that a field which those forget is found.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

Body: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str | int, ...]

CLOSED = ("NetworkPolicy", "ResourceQuota", "LimitRange")
ANYBODY: Body = {"ipBlock": {"cidr": "0.0.0.0/0"}}
EXISTS: Body = {"key": "x", "operator": "Exists"}


@dataclass(frozen=True)
class Edit:
    """One change of one field. `shape` says which kind of change it is, the same for like fields of other objects."""

    shape: str
    change: Callable[[Body], None]

    def applied(self, body: Body) -> Body:
        changed = copy.deepcopy(body)
        self.change(changed)
        return changed


def edits_of(body: Body) -> Iterator[Edit]:
    """All edits of a live object, each of one covered field."""
    kind = body["kind"]
    if kind in CLOSED:
        yield from _edits(kind, ("spec",), body["spec"])
        yield _put(kind, ("metadata", "labels", "driftd.dev/tenant"), "somebody")
    elif kind == "Namespace":
        yield from _edits_of_namespace(body)
    elif kind == "ServiceAccount":
        yield _put(kind, ("automountServiceAccountToken",), value=True)
        yield _remove(kind, ("automountServiceAccountToken",))
    notes = ("metadata", "annotations")
    yield _put(kind, (*notes, "driftd.dev/model"), "elsewhere.yaml#Environment/other")
    yield _remove(kind, (*notes, "driftd.dev/model"))
    yield _put(kind, (*notes, "driftd.dev/condemned"), "7")


def _edits_of_namespace(body: Body) -> Iterator[Edit]:
    labels, notes = ("metadata", "labels"), ("metadata", "annotations")
    for key in body["metadata"]["labels"]:
        if key.startswith(("driftd.dev/", "pod-security.kubernetes.io/")):
            yield _put("Namespace", (*labels, key), "latest" if "version" in key else "privileged")
            yield _remove("Namespace", (*labels, key))
    for key in ("driftd.dev/more", "istio-injection", "istio.io/dataplane-mode", "linkerd.io/control-plane-ns"):
        yield _put("Namespace", (*labels, key), "enabled")
    for key in ("linkerd.io/inject", "config.linkerd.io/skip-inbound-ports", "istio.io/use-waypoint"):
        yield _put("Namespace", (*notes, key), "8080")


def _edits(kind: str, path: Path, value: Any) -> Iterator[Edit]:
    match value:
        case dict():
            for key, part in value.items():
                if part not in ({}, []):  # empty and absent mean the same
                    note = f" = {part}" if key == "protocol" else " and leave nothing" if len(value) == 1 else ""
                    yield _remove(kind, (*path, key), note)
                yield from _edits(kind, (*path, key), part)
            yield from (_put(kind, (*path, key), more) for key, more in _more_keys(kind, path, value))
        case list():
            for index, part in enumerate(value):
                yield _remove(kind, (*path, index))
                yield from _edits(kind, (*path, index), part)
            yield from (_append(kind, path, more) for more in _more_elements(kind, path))
        case _:
            yield _put(kind, path, _other(path, value))


def _more_keys(kind: str, path: Path, value: Body) -> Iterator[tuple[str, Any]]:
    """Fields that the model never mentions here."""
    last = path[-1]
    wanted: dict[str, Any] = {}
    if kind == "ResourceQuota":
        wanted = {"services": "1"} if last == "hard" else {"scopes": ["BestEffort"]}
    elif kind == "LimitRange":
        if isinstance(last, int):
            wanted = {"maxLimitRequestRatio": {"cpu": "20"}, "min": {"cpu": "1m"}, "max": {"cpu": "8"}}
        elif last in ("default", "defaultRequest", "max"):
            wanted = {"ephemeral-storage": "1Gi"}
    elif last == "spec":
        wanted = {"ingress": [{}], "egress": [{}]}
    elif last in ("podSelector", "namespaceSelector"):
        wanted = {"matchExpressions": [EXISTS], "matchLabels": {"x": "y"}}
    elif last == "matchLabels":
        wanted = {"x": "y"}
    elif last == "ipBlock" and not str(value["cidr"]).endswith(("/32", "/128")):
        wanted = {"except": [str(value["cidr"]).replace("/24", "/28").replace("0.0.0.0/0", "9.0.0.0/8")]}
    elif isinstance(last, int) and path[-2] == "ports":
        wanted = {"endPort": 65000}
    elif isinstance(last, int) and path[-2] in ("ingress", "egress"):
        wanted = {"ports": [{"protocol": "TCP", "port": 9}], "from" if path[-2] == "ingress" else "to": [ANYBODY]}
    elif isinstance(last, int) and path[-2] in ("from", "to") and "ipBlock" not in value:
        wanted = {"podSelector": {"matchLabels": {"x": "y"}}, "namespaceSelector": {}}
    yield from ((key, more) for key, more in wanted.items() if key not in value)


def _more_elements(kind: str, path: Path) -> Iterator[Any]:
    match path[-1]:
        case "ingress" | "egress":
            yield {}
        case "from" | "to":
            yield ANYBODY
            yield {"namespaceSelector": {}}
        case "ports":
            yield {"protocol": "UDP", "port": 9}
        case "policyTypes":
            yield "Ingress"
            yield "Egress"
        case "except":
            yield "9.0.0.0/8"
        case "limits":
            yield {"type": "Pod", "max": {"cpu": "9"}}
        case "values":
            yield "x"


def _other(path: Path, value: Any) -> Any:
    """Another value that the API server takes in this place."""
    if isinstance(value, int):
        return value + 1
    place = [part for part in path if isinstance(part, str)]
    if "except" in place:
        return "2401::/16" if ":" in value else "9.9.9.0/24"
    match place[-1]:
        case "cidr":
            return "2000::/4" if ":" in value else "198.51.100.0/24" if value != "0.0.0.0/0" else "0.0.0.0/1"
        case "protocol":
            return "SCTP"
        case "operator":
            return "DoesNotExist"
        case "policyTypes":
            return "Egress" if value == "Ingress" else "Ingress"
        case "type":
            return "Pod"
        case "cpu" if "default" in place:
            return "300m"
        case "memory" if "default" in place:
            return "300Mi"
        case "cpu" if "defaultRequest" in place:
            return "50m"
        case "memory" if "defaultRequest" in place:
            return "50Mi"
        case "memory" if "max" in place:
            return "9Gi"
    return "9" if "hard" in place or "max" in place else "other"


def _put(kind: str, path: Path, value: Any) -> Edit:
    def change(body: Body) -> None:
        _parent(body, path)[path[-1]] = copy.deepcopy(value)
        if path[-1] == "cidr":  # exceptions have to lie within
            _parent(body, path).pop("except", None)

    return Edit(f"{kind}: set {_text(path)}{_detail(path, value)}", change)


def _remove(kind: str, path: Path, note: str = "") -> Edit:
    def change(body: Body) -> None:
        parent = _parent(body, path)
        parent.pop(path[-1], None) if isinstance(parent, dict) else parent.pop(path[-1])

    return Edit(f"{kind}: remove {_text(path)}{note}", change)


def _append(kind: str, path: Path, value: Any) -> Edit:
    def change(body: Body) -> None:
        parent = _parent(body, path)
        if value not in parent[path[-1]]:
            parent[path[-1]].append(copy.deepcopy(value))

    return Edit(f"{kind}: append to {_text(path)}{_detail(path, value)}", change)


def _parent(body: Body, path: Path) -> Any:
    found: Any = body
    for part in path[:-1]:
        found = found.setdefault(part, {}) if isinstance(found, dict) else found[part]
    return found


def _text(path: Path) -> str:
    """The path with elements of lists, and keys that people choose, named alike."""
    parts: list[str] = []
    for part in path:
        chosen = bool(parts) and parts[-1] == "matchLabels"
        parts.append("[]" if isinstance(part, int) else "*" if chosen else part)
    return ".".join(parts)


def _detail(path: Path, value: Any) -> str:
    return f" = {value}" if path[-1] in ("policyTypes", "protocol", "from", "to") else ""
