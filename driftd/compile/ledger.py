"""The objects of one scope as they are compiled: encoded at once, each identity once."""

from driftd.compile.faults import problem
from driftd.model import Problem
from driftd.policy.kinds import KINDS, Coverage, MalformedObjectError, canonical_bytes, digest_of, other_spelling
from driftd.values import Body, Desired, ObjectRef, Origin, pack


class Ledger:
    """Collects `Desired` objects; what cannot stand is a problem, not an exception, so that all are told at once."""

    def __init__(self, coverage: Coverage, problems: list[Problem]) -> None:
        self._coverage = coverage
        self._problems = problems
        self._found: dict[ObjectRef, Desired] = {}

    def add(self, body: Body, origin: Origin) -> None:
        """Take an object over: its bytes are kept, the body is not."""
        kind = KINDS[_group(body["apiVersion"]), body["kind"]]
        metadata = body["metadata"]
        ref = ObjectRef(kind.resource.group, kind.resource.kind, metadata.get("namespace", ""), metadata["name"])
        taken = self._found.get(ref) or self._found.get(other_spelling(ref) or ref)
        if taken is not None:
            self._twice(ref, taken.origin, origin)
            return
        try:
            kept = pack(canonical_bytes(body))
            self._found[ref] = Desired(ref, kept, digest_of(kind, body, self._coverage), origin)
        except MalformedObjectError as fault:
            self._problems.append(problem(origin, fault.where, str(fault), f"correct {ref}"))

    def objects(self) -> dict[ObjectRef, Desired]:
        """Everything that was added, in the order of creation."""
        return dict(sorted(self._found.items(), key=_order))

    def _twice(self, ref: ObjectRef, first: Origin, second: Origin) -> None:
        self._problems.append(
            problem(
                second,
                "metadata.name",
                f"{ref} is already what {first} compiles to",
                "rename this one, or take it out: an object has one source",
                first.file,
            )
        )


def _order(entry: tuple[ObjectRef, Desired]) -> tuple[int, ObjectRef]:
    ref = entry[0]
    return KINDS[ref.group, ref.kind].rank, ref


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]
