"""Reads an API server's audit log while it grows: who did what to which object, when, and what came of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from driftd.values import Body

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class AuditedObject:
    """What a request was about, in the API's words: a resource's plural, not a kind. Empty means none."""

    group: str
    version: str
    resource: str
    subresource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        where = "/".join(part for part in (self.namespace, self.name, self.subresource) if part)
        return f"{what} {where}"


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One stage of one request (`k8s.io/apiserver/pkg/apis/audit/v1` Event). Times are aware UTC, to the microsecond.

    Records stand in the order in which answers were finished. Of several writes to one object the order of the
    responses' resourceVersions is the truth; see `resource_version`.
    """

    audit_id: str
    stage: str
    """`ResponseStarted` for watches, then `ResponseComplete` or `Panic`."""
    received_at: datetime
    stage_at: datetime
    verb: str
    user: str
    groups: tuple[str, ...]
    impersonated: str
    """The user somebody with that right acted for; empty usually."""
    user_agent: str
    uri: str
    ref: AuditedObject | None
    code: int
    reason: str
    """The machine-readable reason of a refusal, such as `Conflict`."""
    request_object: Body | None
    response_object: Body | None

    @property
    def succeeded(self) -> bool:
        return 200 <= self.code < 300

    @property
    def dry_run(self) -> bool:
        """Asked for in the address, or, for a deletion, in its DeleteOptions."""
        if "All" in parse_qs(urlsplit(self.uri).query).get("dryRun", []):
            return True
        body = self.request_object
        if not isinstance(body, dict):  # a JSON patch is a list
            return False
        return body.get("kind") == "DeleteOptions" and bool(body.get("dryRun"))

    @property
    def changed_something(self) -> bool:
        """A write that went through and was meant. A write that left an object as it was counts too."""
        return self.stage == "ResponseComplete" and self.verb in WRITES and self.succeeded and not self.dry_run

    @property
    def resource_version(self) -> int | None:
        """The revision this write produced, where the whole answer was kept and is the object."""
        metadata = (self.response_object or {}).get("metadata", {})
        version = metadata.get("resourceVersion", "")
        return int(version) if version.isdigit() else None


class AuditLog:
    """The audit logs of one control plane, read bit by bit. A line that is still being written waits for its end.

    Several API servers write a file each; records then come file by file, in time order only within a file.
    """

    def __init__(self, *paths: Path) -> None:
        self._positions = dict.fromkeys(paths, 0)

    def read(self) -> tuple[AuditRecord, ...]:
        """Everything written since the last call. A file that is not there yet holds nothing."""
        return tuple(record for path in self._positions for record in self._read(path))

    def skip(self) -> None:
        """Forget what has been written until now: the next `read` starts here."""
        for path in self._positions:
            self._positions[path] = path.stat().st_size if path.exists() else 0

    def writes(self) -> tuple[AuditRecord, ...]:
        """The new records that changed something."""
        return tuple(record for record in self.read() if record.changed_something)

    def _read(self, path: Path) -> Iterable[AuditRecord]:
        try:
            with path.open("rb") as handle:
                handle.seek(self._positions[path])
                data = handle.read()
        except FileNotFoundError:
            return
        whole = data.rfind(b"\n") + 1
        self._positions[path] += whole
        for line in data[:whole].splitlines():
            if line.strip():
                yield parse_record(line)


def parse_record(line: bytes) -> AuditRecord:
    """One line of a log in the JSON form. Raises `ValueError` on a line that is none."""
    event = msgspec.json.decode(line)
    user, status = event.get("user", {}), event.get("responseStatus", {})
    return AuditRecord(
        audit_id=event["auditID"],
        stage=event["stage"],
        received_at=datetime.fromisoformat(event["requestReceivedTimestamp"]),
        stage_at=datetime.fromisoformat(event["stageTimestamp"]),
        verb=event["verb"],
        user=user.get("username", ""),
        groups=tuple(user.get("groups", ())),
        impersonated=event.get("impersonatedUser", {}).get("username", ""),
        user_agent=event.get("userAgent", ""),
        uri=event.get("requestURI", ""),
        ref=_object(event.get("objectRef")),
        code=status.get("code", 0),
        reason=status.get("reason", ""),
        request_object=event.get("requestObject"),
        response_object=event.get("responseObject"),
    )


def _object(ref: dict[str, Any] | None) -> AuditedObject | None:
    if ref is None:
        return None
    group, resource = ref.get("apiGroup", ""), ref.get("resource", "")
    # The server names a Namespace by its namespace too; elsewhere in driftd a Namespace lies in none.
    in_none = (group, resource) == ("", "namespaces")
    return AuditedObject(
        group=group,
        version=ref.get("apiVersion", ""),
        resource=resource,
        subresource=ref.get("subresource", ""),
        namespace="" if in_none else ref.get("namespace", ""),
        name=ref.get("name", ""),
    )
