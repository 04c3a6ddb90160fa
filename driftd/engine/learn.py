"""Learn by dry runs what the server makes of our objects: once a kind and server version, and while one is stopped."""

import asyncio
from collections.abc import Callable, Iterable

import msgspec
import structlog

from driftd.cluster import DRY_RUN, Answer, ClusterError, Session, Writer
from driftd.compile import Compiled
from driftd.engine.stopped import Stopped, StoppedKinds
from driftd.policy.kinds import KINDS
from driftd.values import Clock, Desired, ObjectRef, Result

_log = structlog.get_logger()
_LONGEST_PAUSE = 3600.0


class _Version(msgspec.Struct, rename={"version": "gitVersion"}):
    version: str = ""


class Defaults:
    """Asks the server, by a dry-run create in driftd's own namespace, whether an object comes back as it was sent.

    A kind that gains fields is not written any more (D3): one finding instead of a loop of writes. It is asked about
    again, and written again once it comes back as sent; each time it has to be stopped anew doubles the pause.

    Args:
        again_seconds: the first pause before a stopped kind is asked about again.
    """

    def __init__(
        self,
        *,
        session: Session,
        writer: Writer,
        stopped: StoppedKinds,
        namespace: str,
        epoch: Callable[[], int],
        compiled: Callable[[], Compiled],
        clock: Clock,
        again_seconds: float,
    ) -> None:
        self._session = session
        self._writer = writer
        self._stopped = stopped
        self._namespace = namespace
        self._epoch = epoch
        self._compiled = compiled
        self._clock = clock
        self._again = again_seconds
        self._due: dict[Stopped, float] = {}
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
            if key in self._known:
                continue
            answer = await self._ask(desired, self._namespace)
            if answer.defaulted:
                self._stopped.stop(desired.ref, f"it adds {', '.join(answer.added)}")
            elif answer.result is not Result.DONE:
                _log.info("defaults.unknown", kind=desired.ref.kind, why=answer.message)
                continue
            self._known.add(key)

    async def relearn(self) -> None:
        """Ask about stopped kinds again, for ever."""
        while True:
            await asyncio.sleep(min(self._again, 1.0))
            now = self._clock.monotonic()
            stopped = self._stopped.all()
            self._due = {one: self._due.get(one, now + self._pause(one)) for one in stopped}
            for one in stopped:
                if self._due[one] <= now:
                    self._due[one] = now + self._pause(one)
                    if await self._is_clean(one):
                        self._stopped.lift(one.ref)

    def _pause(self, stopped: Stopped) -> float:
        return min(_LONGEST_PAUSE, self._again * 2.0 ** min(stopped.times - 1, 20))

    async def _is_clean(self, stopped: Stopped) -> bool:
        """Whether what showed it comes back as sent, where it was seen and in driftd's own namespace."""
        compiled = self._compiled()
        governed = compiled.governed.get(stopped.ref.namespace)
        seen = governed.objects.get(stopped.ref) if governed else None
        sample = seen or next((one for one in _samples(compiled) if _kind(one.ref) == _kind(stopped.ref)), None)
        if sample is None:
            return True  # the model has none of that kind any more: nothing of it would be written
        places = dict.fromkeys((stopped.ref.namespace if seen else self._namespace, self._namespace))
        for namespace in places:
            if (await self._ask(sample, namespace)).result is not Result.DONE:
                return False
        return True

    async def _ask(self, desired: Desired, namespace: str) -> Answer:
        body = desired.body()
        body["metadata"] = {**body["metadata"], "name": DRY_RUN}
        if desired.ref.namespace:
            body["metadata"]["namespace"] = namespace
        resource = KINDS[desired.ref.group, desired.ref.kind].resource
        return await self._writer.learn(resource, body, self._epoch())


def _samples(compiled: Compiled) -> Iterable[Desired]:
    """One object of each kind, the one with most to say. Namespaces are left out: their labels have no defaults."""
    best: dict[tuple[str, str], Desired] = {}
    for governed in compiled.every_scope():
        for ref, desired in governed.objects.items():
            known = best.get(_kind(ref))
            if ref.kind != "Namespace" and (known is None or len(desired.kept) > len(known.kept)):
                best[_kind(ref)] = desired
    return best.values()


def _kind(ref: ObjectRef) -> tuple[str, str]:
    return ref.group, ref.kind
