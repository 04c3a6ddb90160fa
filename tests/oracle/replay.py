"""An API server's audit log read back: every commit in order, and the state of the cluster after each.

Needs audit level RequestResponse for writes of the tracked resources. What orders commits:

* a write that answers with an object carries the object's new resourceVersion, which is etcd's revision: one order for
  all kinds of one etcd;
* a deletion that is final answers with a Status or the last object, and has no trustworthy revision. It is placed by
  time, but never before the last write of that same object, never after the next creation under its name, and never
  against a write that ended before it began or began after it ended;
* an object with a deletionTimestamp lives on while it has finalizers (or, a Namespace, spec.finalizers) or a grace
  period; the write that takes the last one away is its end.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tests.oracle.bodies import Body, Cluster, listed

WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})
NETWORK_POLICIES = ("networking.k8s.io", "networkpolicies")
NAMESPACES = ("", "namespaces")
CALICO = frozenset(
    (group, resource)
    for group in ("projectcalico.org", "crd.projectcalico.org")
    for resource in ("networkpolicies", "globalnetworkpolicies", "tiers", "networksets", "globalnetworksets")
)
ADMIN = ("policy.networking.k8s.io", "clusternetworkpolicies")


class IncompleteRecordError(ValueError):
    """A write without the body that says what was committed: the audit policy does not log RequestResponse for it."""


class Key(NamedTuple):
    """An object's place in the API, as audit records name it (plural resource, no version)."""

    group: str
    resource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.resource} {where}"


@dataclass(frozen=True)
class Record:
    """One finished request."""

    id: str
    verb: str
    user: str
    key: Key
    subresource: str
    code: int
    received: datetime
    done: datetime
    dry_run: bool
    request: Body | None = field(default=None, compare=False, repr=False)
    response: Body | None = field(default=None, compare=False, repr=False)

    @property
    def is_write(self) -> bool:
        return self.verb in WRITE_VERBS and not self.dry_run

    @property
    def succeeded(self) -> bool:
        return 200 <= self.code < 300


@dataclass(frozen=True)
class State:
    """The tracked objects that exist at one moment."""

    objects: Mapping[Key, Body] = field(default_factory=dict)

    def of(self, resource: tuple[str, str]) -> list[Body]:
        return [body for key, body in sorted(self.objects.items()) if (key.group, key.resource) == resource]

    def cluster(self, pods: Sequence[Body] = ()) -> Cluster:
        """As the oracle takes it: namespaces, policies of whatever kind, and all else (tiers, sets, accounts)."""
        rest = [body for key, body in sorted(self.objects.items()) if (key.group, key.resource) != NAMESPACES]
        policies = [body for body in rest if str(body.get("kind", "NetworkPolicy")).endswith("Policy")]
        others = [body for body in rest if not str(body.get("kind", "NetworkPolicy")).endswith("Policy")]
        return Cluster(namespaces=self.of(NAMESPACES), pods=pods, policies=policies, others=others)


@dataclass(frozen=True)
class Step:
    """A commit: the request that made it, the objects it changed, and the state after it."""

    record: Record
    changed: frozenset[Key]
    state: State


def read(lines: Iterable[str | bytes]) -> list[Record]:
    """The finished requests of a log in JSON lines. A last line that is still being written is left out."""
    records = []
    for line in lines:
        text = line.decode() if isinstance(line, bytes) else line
        if not text.strip():
            continue
        try:
            event = json.loads(text)
        except json.JSONDecodeError:
            if text.endswith("\n"):
                raise
            break
        if event.get("stage") == "ResponseComplete" and event.get("objectRef"):
            records.append(_record(event))
    return records


def replay(
    records: Iterable[Record],
    initial: State | None = None,
    tracked: frozenset[tuple[str, str]] = frozenset({NETWORK_POLICIES, NAMESPACES}),
) -> Iterator[Step]:
    """Every commit to a tracked resource, in commit order, with the state after it.

    `initial` is what existed when the log began. A write that changed nothing (same resourceVersion) is no commit.
    """
    objects = dict((initial or State()).objects)
    commits = [
        record
        for record in records
        if record.is_write and record.succeeded and (record.key.group, record.key.resource) in tracked
    ]
    for record in in_commit_order(commits):
        before = dict(objects)
        _apply(record, objects)
        changed = frozenset(key for key in before.keys() | objects.keys() if before.get(key) != objects.get(key))
        if changed:
            yield Step(record, changed, State(dict(objects)))


def _record(event: Body) -> Record:
    ref, response = event["objectRef"], event.get("responseObject")
    metadata = (response or {}).get("metadata") or {}
    name = ref.get("name") or (metadata.get("name") if event["verb"] == "create" else "") or ""
    if not name and event["verb"] == "create":
        name = ((event.get("requestObject") or {}).get("metadata") or {}).get("name") or ""
    # objectRef names a Namespace by namespace as well as by name: its place has no namespace.
    cluster_scoped = (ref.get("apiGroup", ""), ref["resource"]) == NAMESPACES
    user = (event.get("impersonatedUser") or event["user"])["username"]
    return Record(
        id=str(event.get("auditID", "")),
        verb=event["verb"],
        user=user,
        key=Key(
            ref.get("apiGroup") or "",
            ref["resource"],
            "" if cluster_scoped else ref.get("namespace") or "",
            name or (ref.get("namespace") or "" if cluster_scoped else ""),
        ),
        subresource=ref.get("subresource") or "",
        code=int((event.get("responseStatus") or {}).get("code", 0)),
        received=datetime.fromisoformat(event["requestReceivedTimestamp"]),
        done=datetime.fromisoformat(event["stageTimestamp"]),
        dry_run="dryRun=" in event.get("requestURI", "") or _asks_dry_run(event.get("requestObject")),
        request=event.get("requestObject"),
        response=response,
    )


def _asks_dry_run(request: Body | None) -> bool:
    """DeleteOptions may carry dryRun in the body."""
    return bool(request) and (request or {}).get("kind") == "DeleteOptions" and bool((request or {}).get("dryRun"))


def in_commit_order(commits: Sequence[Record]) -> list[Record]:
    """Writes that succeeded, as they were committed: an answer may be finished long after a later write's."""
    # Ties are writes that changed nothing: the one that came first made the revision.
    ordered = sorted(
        (record for record in commits if not _is_undated(record)),
        key=lambda record: (_revision(record), record.received),
    )
    for record in sorted((record for record in commits if _is_undated(record)), key=lambda record: record.done):
        ordered.insert(_place_of(record, ordered), record)
    return ordered


def _place_of(gone: Record, ordered: Sequence[Record]) -> int:
    """Where among the ordered commits a final deletion belongs: by time within what is certain."""
    lowest, highest = 0, len(ordered)
    uids = _uids(gone)
    for index, other in enumerate(ordered):
        ended_before = other.done <= gone.received
        if ended_before or (_hits(gone, other) and _uids(other) & uids):
            lowest = index + 1
    for index in range(len(ordered) - 1, lowest - 1, -1):
        other = ordered[index]
        began_after = other.received >= gone.done
        if began_after or _comes_after(gone, uids, other):
            highest = index
    for index in range(lowest, highest):
        if ordered[index].done > gone.done:
            return index
    return highest


def _comes_after(gone: Record, uids: frozenset[str], other: Record) -> bool:
    """Whether a write made the next object under a name that a deletion of one object set free."""
    return bool(gone.key.name) and _hits(gone, other) and bool(uids) and bool(_uids(other)) and not _uids(other) & uids


def _hits(deletion: Record, other: Record) -> bool:
    """Whether a deletion (of one, or of a collection) concerns the object another record wrote."""
    mine, its = deletion.key, other.key
    if (mine.group, mine.resource, mine.namespace) != (its.group, its.resource, its.namespace):
        return False
    return not mine.name or mine.name == its.name


def _apply(record: Record, objects: dict[Key, Body]) -> None:
    if record.verb == "deletecollection":
        for key in _collected(record, objects):
            if not _stays(objects[key]):
                objects.pop(key)
        return
    body = record.response
    if body is None:
        raise IncompleteRecordError(
            f"audit record {record.id} ({record.verb} {record.key} by {record.user}) has no responseObject: "
            f"log {record.key.resource} at level RequestResponse"
        )
    if body.get("kind") == "Status":
        # A Status as answer to a deletion: gone. To anything else (a subresource): no object was written.
        if record.verb == "delete":
            objects.pop(record.key, None)
        return
    if record.subresource not in ("", "status", "finalize"):
        return
    if _is_gone(record):
        objects.pop(record.key, None)
    else:
        objects[record.key] = body


def _collected(record: Record, objects: Mapping[Key, Body]) -> list[Key]:
    """What a deletion of a collection took: the listed items, or everything there when the answer lists none."""
    there = [key for key in objects if _hits(record, Record(**{**vars(record), "key": key}))]
    items = (record.response or {}).get("items")
    if items is None:
        return there
    names = {item["metadata"]["name"] for item in items}
    return [key for key in there if key.name in names]


def _stays(body: Body) -> bool:
    """Whether a deletion only marks an object: something still holds it."""
    metadata = body["metadata"]
    held_by = listed(metadata.get("finalizers")) or listed((body.get("spec") or {}).get("finalizers"))
    return bool(held_by) or bool(metadata.get("deletionGracePeriodSeconds"))


def _is_gone(record: Record) -> bool:
    """Whether the object in an answer is the last one: deleted and held by nothing."""
    body = record.response or {}
    if _stays(body):
        return False
    return record.verb == "delete" or bool(body["metadata"].get("deletionTimestamp"))


def _is_undated(record: Record) -> bool:
    """Whether a commit carries no revision that may be trusted."""
    body = record.response or {}
    if record.verb == "deletecollection" or body.get("kind") == "Status" or not body:
        return True
    return _is_gone(record) or not (body.get("metadata") or {}).get("resourceVersion")


def _revision(record: Record) -> int:
    return int((record.response or {})["metadata"]["resourceVersion"])


def _uids(record: Record) -> frozenset[str]:
    """The objects an answer speaks of: one, or the items of a list."""
    body = record.response or {}
    found = [body.get("details") or {}] if body.get("kind") == "Status" else [body.get("metadata") or {}]
    found += [item["metadata"] for item in listed(body.get("items"))]
    return frozenset(str(entry["uid"]) for entry in found if entry.get("uid"))
