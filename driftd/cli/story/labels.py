"""The act without a policy: a pod puts on the labels of a database; driftd says what that opens, and writes none."""

import asyncio
import time
from collections.abc import Callable

from driftd.cli.failures import CommandError
from driftd.cli.story.narrator import Narrator
from driftd.cli.story.outcome import Masquerade
from driftd.cli.story.scenes import Tampering
from driftd.cli.story.stage import Stage, until
from driftd.values import Body, Finding, FindingType, ObjectRef

_SECONDS = 15.0
_POD = ObjectRef("", "Pod", "acme-prod", "replica")
_LABELS = {"app": "postgres"}


def dressed_up() -> Tampering:
    """A pod with the labels of acme's database, under the service account of its web."""
    body: Body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": _POD.name, "namespace": _POD.namespace, "labels": _LABELS},
        "spec": {
            "serviceAccountName": "web",
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "listener",
                    "image": "registry.example/listener:1",
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }
    return Tampering("create", _POD, body)


class LabelsAct:
    """Plays it. `pause` is how many seconds a reader is given after it."""

    def __init__(self, stage: Stage, narrator: Narrator, *, pause: float) -> None:
        self._stage = stage
        self._narrator = narrator
        self._pause = pause

    async def perform(self) -> Masquerade:
        """Raises `ClusterError` when a request of the act itself fails."""
        self._narrator.labels(_POD, _LABELS)
        await self._stage.tamperer.do(dressed_up())
        started = time.monotonic()
        finding: Finding | None = None
        with self._narrator.working("driftd looks"):
            if await self._until("the pod is found", bool):
                finding = (await self._told())[0]
        seconds = time.monotonic() - started
        await self._stage.administrator.do(Tampering("delete", _POD))
        closed = await self._until("the finding is closed", lambda found: not found)
        end = Masquerade(finding, seconds, closed=closed)
        self._narrator.labels_end(end)
        await asyncio.sleep(self._pause)
        return end

    async def _told(self) -> list[Finding]:
        found = await self._stage.records.open()
        return [one for one in found if one.ref == _POD and one.type is FindingType.RELABELLED]

    async def _until(self, what: str, holds: Callable[[list[Finding]], bool]) -> bool:
        async def is_so() -> bool:
            return holds(await self._told())

        try:
            await until(is_so, what, _SECONDS)
        except CommandError:
            return False
        return True
