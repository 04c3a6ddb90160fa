"""Learn what the server makes of our objects: once a kind and server version, by a dry run."""

from collections.abc import Callable, Iterable

import msgspec
import structlog

from driftd.cluster import DRY_RUN, ClusterError, Session, Writer
from driftd.compile import Compiled
from driftd.engine.setbacks import Setbacks
from driftd.policy.kinds import KINDS
from driftd.values import Desired, ObjectRef, Result

_log = structlog.get_logger()


class _Version(msgspec.Struct, rename={"version": "gitVersion"}):
    version: str = ""


class Defaults:
    """Asks the server, by a dry-run create in driftd's own namespace, whether an object comes back as it was sent.

    A kind that gains fields is not written any more (D3): one finding instead of a loop of writes.
    """

    def __init__(
        self, *, session: Session, writer: Writer, setbacks: Setbacks, namespace: str, epoch: Callable[[], int]
    ) -> None:
        self._session = session
        self._writer = writer
        self._setbacks = setbacks
        self._namespace = namespace
        self._epoch = epoch
        self._known: set[tuple[str, str, str]] = set()

    async def learn(self, compiled: Compiled) -> None:
        """Ask about every kind that the model has an object of and that was not asked about on this server version."""
        try:
            version = msgspec.json.decode((await self._session.request("GET", "/version")).body, type=_Version).version
        except (ClusterError, msgspec.MsgspecError) as error:
            _log.warning("defaults.unknown", why=str(error))
            return
        for desired in _samples(compiled):
            key = (desired.ref.group, desired.ref.kind, version)
            if key not in self._known and await self._ask(desired):
                self._known.add(key)

    async def _ask(self, desired: Desired) -> bool:
        """True when the server has answered."""
        body = desired.body()
        body["metadata"] = {**body["metadata"], "name": DRY_RUN}
        if desired.ref.namespace:
            body["metadata"]["namespace"] = self._namespace
        resource = KINDS[desired.ref.group, desired.ref.kind].resource
        answer = await self._writer.learn(resource, body, self._epoch())
        if answer.defaulted:
            _log.error("defaults.gained", kind=str(resource), fields=answer.added)
            self._setbacks.stop_kind(desired.ref, f"the API server adds {', '.join(answer.added)}")
        elif answer.result is not Result.DONE:
            _log.info("defaults.unknown", kind=str(resource), why=answer.message)
            return False
        return True


def _samples(compiled: Compiled) -> Iterable[Desired]:
    """One object of each kind, the one with most to say. Namespaces are left out: their labels have no defaults."""
    best: dict[tuple[str, str], Desired] = {}
    for governed in compiled.every_scope():
        for ref, desired in governed.objects.items():
            known = best.get(_kind(ref))
            if ref.kind != "Namespace" and (known is None or len(desired.raw) > len(known.raw)):
                best[_kind(ref)] = desired
    return best.values()


def _kind(ref: ObjectRef) -> tuple[str, str]:
    return ref.group, ref.kind
