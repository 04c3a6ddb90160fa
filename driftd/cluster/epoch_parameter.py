"""The ConfigMap that tells the API server which epoch rules: the parameter of the shipped admission policy (D10)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
import orjson
import structlog

from driftd.cluster.errors import BadAnswer, ClusterError, Conflict, NotFound
from driftd.cluster.session import Session
from driftd.values import EPOCH, Body

_TRIES: Final = 5
_log = structlog.get_logger()


class _Meta(msgspec.Struct, rename="camel"):
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _ConfigMap(msgspec.Struct):
    metadata: _Meta
    data: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class EpochParameter:
    """Reads and raises `data.epoch` of one ConfigMap. It is never lowered."""

    session: Session
    namespace: str
    name: str = "driftd-fence"

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps"

    async def ruling(self) -> int:
        """The epoch in force; 0 where there is none yet. Raises ClusterError when nothing is known."""
        found = await self._get()
        return self._number(found) if found is not None and found.data else 0

    async def raise_above(self, known: int) -> int:
        """Raises the parameter above itself and above `known`, as a new term does; the epoch in force afterwards."""
        return await self._raise(lambda ruling: max(known, ruling) + 1)

    async def raise_to(self, epoch: int) -> int:
        """Raises the parameter and returns what is in force afterwards.

        That is `epoch`, or a number above it which somebody else has set: then nothing was written.
        """
        return await self._raise(lambda ruling: max(epoch, ruling))

    async def _raise(self, wanted: Callable[[int], int]) -> int:
        refused: ClusterError = BadAnswer("PUT", self._path, "not tried")
        for _ in range(_TRIES):
            found = await self._get()
            ruling = 0 if found is None else self._number(found)
            epoch = wanted(ruling)
            if epoch == ruling:
                return ruling
            try:
                await self._put(found, epoch)
            except (Conflict, NotFound) as error:
                refused = error
                continue
            return epoch
        raise refused

    async def _get(self) -> _ConfigMap | None:
        path = f"{self._path}/{self.name}"
        try:
            answer = await self.session.request("GET", path)
        except NotFound as error:
            if error.is_object(self.name):
                return None
            raise
        try:
            return msgspec.json.decode(answer.body, type=_ConfigMap)
        except msgspec.MsgspecError as error:
            raise BadAnswer("GET", path, str(error)) from error

    def _number(self, found: _ConfigMap) -> int:
        text = (found.data or {}).get("epoch", "")
        if text.isascii() and text.isdecimal() and len(text) <= 18:
            return int(text)
        # A policy that cannot read its parameter refuses every write: a number must come back, so 0 is overwritten.
        _log.warning("cluster.fence.unreadable", configmap=f"{self.namespace}/{self.name}")
        return 0

    async def _put(self, found: _ConfigMap | None, epoch: int) -> None:
        metadata: Body = {"name": self.name, "namespace": self.namespace, "annotations": {EPOCH: str(epoch)}}
        body: Body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"epoch": str(epoch)}}
        query = {"fieldManager": "driftd", "fieldValidation": "Strict"}
        if found is None:
            await self.session.request("POST", self._path, query=query, body=orjson.dumps(body))
            return
        metadata |= {"uid": found.metadata.uid, "resourceVersion": found.metadata.resource_version}
        metadata["annotations"] = (found.metadata.annotations or {}) | metadata["annotations"]
        if found.metadata.labels:
            metadata["labels"] = found.metadata.labels
        body["data"] = (found.data or {}) | body["data"]
        await self.session.request("PUT", f"{self._path}/{self.name}", query=query, body=orjson.dumps(body))
