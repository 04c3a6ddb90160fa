"""Whether the cluster is as the model has it, asked of the API server itself, past driftd."""

from dataclasses import dataclass

from driftd.cli.story.hands import Hands
from driftd.compile import Compiled, Mode
from driftd.policy.kinds import World, digest_of, kind_of, kinds_under
from driftd.values import Body, ObjectRef


@dataclass(frozen=True, slots=True)
class Truth:
    """Compares by reading every object afresh, with an administrator's eyes."""

    administrator: Hands
    compiled: Compiled

    @property
    def watched_only(self) -> tuple[str, ...]:
        """Namespaces in report mode: nothing is written there, so nothing is asked of them."""
        return tuple(one.name for one in self.compiled.governed.values() if one.mode is Mode.REPORT)

    async def differing(self, namespace: str = "") -> tuple[ObjectRef, ...]:
        """Enforced objects that are not as the model has them, missing or too many; of one namespace or of all."""
        lives = await self._lives(namespace)
        found: list[ObjectRef] = []
        for governed in self.compiled.governed.values():
            if namespace and governed.name != namespace:
                continue
            for ref, desired in governed.objects.items():
                live = lives.get(ref)
                enforced = governed.mode_of(ref.kind) is Mode.ENFORCE
                if enforced and (live is None or not self._equal(ref, live, desired.digest)):
                    found.append(ref)
            for ref in lives:
                extra = ref.namespace == governed.name and ref not in governed.objects and governed.closed
                closed = kind_of(ref).world is World.CLOSED
                if extra and closed and governed.mode_of(ref.kind) is Mode.ENFORCE:
                    found.append(ref)
        return tuple(found)

    async def held_empty(self, ref: ObjectRef) -> bool:
        """Whether an object is being deleted, is held by a finalizer, and allows nothing while it still stands."""
        live = (await self._lives(ref.namespace)).get(ref)
        if live is None or "deletionTimestamp" not in live["metadata"]:
            return False
        kind, coverage = kind_of(ref), self.compiled.coverage
        emptied: bool = kind.covered(live, coverage)["spec"] == kind.covered(kind.emptied(live), coverage)["spec"]
        return emptied

    def _equal(self, ref: ObjectRef, live: Body, digest: bytes) -> bool:
        terminating = "deletionTimestamp" in live["metadata"]
        return not terminating and digest_of(kind_of(ref), live, self.compiled.coverage) == digest

    async def _lives(self, namespace: str) -> dict[ObjectRef, Body]:
        lives = {}
        for kind in kinds_under(self.compiled.dialect).values():
            resource = kind.resource
            for body in await self.administrator.list(resource, namespace):
                metadata = body["metadata"]
                # In the truth about one namespace the list of Namespaces still holds all of them.
                lives[ObjectRef(resource.group, resource.kind, metadata.get("namespace", ""), metadata["name"])] = body
        return lives
