"""Live objects from files, as `kubectl get` writes them."""

from collections.abc import Iterable
from pathlib import Path

import orjson

from driftd.cli.live import Gap, LiveState, reader_of
from driftd.cli.object_files import FileObject, objects_in
from driftd.policy.kinds import ALIASES, EVALUATED, KINDS, Bearing, Coverage, bearing, stored
from driftd.values import Body, Live, ObjectRef, Resource


def read_dumps(paths: Iterable[Path], coverage: Coverage) -> LiveState:
    """Everything that the paths hold. What cannot be read is a gap, and the rest is read all the same."""
    given = tuple(paths)
    reading = _Reading(coverage)
    for part in objects_in(given):
        if isinstance(part, FileObject):
            reading.take(part)
        else:
            reading.gaps.append(Gap(part.where, part.why))
    others = [live for ref, live in reading.found.items() if (ref.group, ref.kind) not in KINDS]
    return LiveState(
        source="manifests " + " ".join(map(str, given)),
        objects={ref: live for ref, live in reading.found.items() if (ref.group, ref.kind) in KINDS},
        evaluated=tuple(live for live in others if _is_read(live)),
        unknown=tuple(live for live in others if not _is_read(live)),
        gaps=tuple(reading.gaps),
        absence_proved=not reading.gaps,
    )


class _Reading:
    """One walk over all paths."""

    def __init__(self, coverage: Coverage) -> None:
        self._coverage = coverage
        self.found: dict[ObjectRef, Live] = {}
        self.gaps: list[Gap] = []

    def take(self, one: FileObject) -> None:
        where, name = one.where, one.kind
        group, _, number = one.api_version.rpartition("/")
        kind = KINDS.get((ALIASES.get(group, group), name))
        if kind is None:
            if bearing(group, name) not in (Bearing.POLICY, Bearing.UNLISTED, Bearing.EVALUATED):
                return  # none of driftd's business: pods, services, whatever else a dump holds
            resource = Resource(group, number, name, f"{name.lower()}s", namespaced=bool(_namespace(one.body)))
        else:
            resource = kind.resource if group == kind.resource.group else stored(kind.resource)
            if resource.api_version != one.api_version:
                self._gap(where, f"{name} of {one.api_version}: driftd reads {resource.api_version}; dump that version")
                return
        try:
            live = reader_of(resource, self._coverage).live(orjson.dumps(one.body), stored=False)
        except (ValueError, TypeError) as error:
            self._gap(where, str(error))
            return
        if bool(live.ref.namespace) != resource.namespaced:
            self._gap(where, f"{name} {live.ref.name}: metadata.namespace is {'missing' if kind else 'wrong'}")
            return
        before = self.found.setdefault(live.ref, live)
        if before.kept != live.kept:
            self._gap(where, f"{live.ref} was read before with other content: which of the two is live?")

    def _gap(self, where: str, why: str) -> None:
        self.gaps.append(Gap(where, why))


def _is_read(live: Live) -> bool:
    """Whether it is of a kind that is judged and never written, in the version that is read."""
    version = str(live.body()["apiVersion"]).rpartition("/")[2]
    return EVALUATED.get((live.ref.group, live.ref.kind)) == version


def _namespace(body: Body) -> object:
    metadata = body.get("metadata")
    return metadata.get("namespace") if isinstance(metadata, dict) else None
