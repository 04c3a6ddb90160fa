"""The act with packets: two tenants' pods on real nodes, a hole between them, what goes through it, and its end.

Every verdict here is a connection that came about or did not; driftd is not asked. A repair takes milliseconds, less
than the nodes take to let a packet through a new hole; so that one can be seen at all, driftd is held still meanwhile.
"""

import asyncio
import signal
import time

from driftd.cli.story.narrator import Narrator
from driftd.cli.story.outcome import Packets
from driftd.cli.story.scenes import Tampering
from driftd.cli.story.stage import Stage, whole
from driftd.lab import SANDBOX_IMAGE
from driftd.values import Body, ObjectRef

_PORT = 8080
_CONNECT_SECONDS = 1.0
_EFFECT_SECONDS = 30.0
_REPAIR_SECONDS = 30.0
_AWAKE_ATTEMPTS = 5
SERVER, FRIEND, NEIGHBOUR = ("acme-prod", "api"), ("acme-prod", "web"), ("globex-prod", "portal")


TAMPERED = ObjectRef("networking.k8s.io", "NetworkPolicy", SERVER[0], "default-deny")
"""The door by which the neighbour gets in."""
_OUT: Body = {"egress": [{}]}
_IN: Body = {"ingress": [{}]}


def both_doors() -> tuple[Tampering, ...]:
    """It takes two: a flow between tenants must be let out by the one and let in by the other."""
    return tuple(
        Tampering("patch", ObjectRef("networking.k8s.io", "NetworkPolicy", namespace, "default-deny"), {"spec": hole})
        for namespace, hole in ((NEIGHBOUR[0], _OUT), (SERVER[0], _IN))
    )


class PacketsAct:
    """Plays it on a stage whose lab has nodes. `pause` is how many seconds a reader is given after each step."""

    def __init__(self, stage: Stage, narrator: Narrator, *, pause: float) -> None:
        self._stage = stage
        self._narrator = narrator
        self._pause = pause
        self._address = ""

    async def perform(self) -> Packets:
        """Raises `LabError` or `ClusterError` when a pod or a request of the act itself fails."""
        self._narrator.packets(SERVER, NEIGHBOUR)
        with self._narrator.working("starting the tenants' pods"):
            await self._start_pods()
        blocked = not await self._tell(NEIGHBOUR)
        await self._tell(FRIEND)

        process = self._stage.daemon.process
        process.send_signal(signal.SIGSTOP)
        try:
            self._narrator.step("driftd is held still, and mallory opens both doors")
            await self._tamper()
            through = await self._until(reaches=True, seconds=_EFFECT_SECONDS)
            await self._tell(NEIGHBOUR)
        finally:
            process.send_signal(signal.SIGCONT)
        self._narrator.step("driftd goes on")
        started = time.monotonic()
        with self._narrator.working("driftd repairs"):
            closed = await self._until(reaches=False, seconds=_REPAIR_SECONDS)
        closed_after = time.monotonic() - started if closed else None
        await self._tell(NEIGHBOUR)
        await self._all_whole()

        self._narrator.step("the same again, with driftd awake")
        await self._tamper()
        slipped = [await self._connects(NEIGHBOUR) for _ in range(_AWAKE_ATTEMPTS)]
        await self._all_whole()
        watched = (await self._stage.lab.pods.logs(FRIEND[0], "watcher")).split()[1::2]
        end = Packets(blocked, through, closed_after, sum(slipped), len(slipped), watched == ["open"])
        self._narrator.packets_end(end)
        await asyncio.sleep(self._pause)
        return end

    async def _start_pods(self) -> None:
        pods, nodes = self._stage.lab.pods, self._stage.lab.nodes
        near, far = nodes[0].name, nodes[-1].name
        self._address = await pods.start(_pod(SERVER, SERVER[1], far, "serve", str(_PORT)))
        await pods.start(_pod(FRIEND, FRIEND[1], near, "pause"))
        await pods.start(_pod(NEIGHBOUR, NEIGHBOUR[1], near, "pause"))
        await pods.start(_pod(FRIEND, "watcher", near, "watch", f"{self._address}:{_PORT}", "10"))

    async def _tamper(self) -> None:
        for tampering in both_doors():
            await self._stage.tamperer.do(tampering)
            self._narrator.done_by_tamperer(tampering)

    async def _tell(self, who: tuple[str, str]) -> bool:
        """Try a connection and say what came of it."""
        through = await self._connects(who)
        self._narrator.connection(who, f"{self._address}:{_PORT}", through=through)
        await asyncio.sleep(self._pause)
        return through

    async def _connects(self, who: tuple[str, str]) -> bool:
        done = await self._stage.lab.pods.exec(
            *who, "pod", "connect", f"{self._address}:{_PORT}", str(_CONNECT_SECONDS)
        )
        return done.code == 0

    async def _until(self, *, reaches: bool, seconds: float) -> bool:
        """Whether the neighbour's connections come to pass, or stop, within that time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if await self._connects(NEIGHBOUR) is reaches:
                return True
        return False

    async def _all_whole(self) -> None:
        self._stage.daemon.must_run()
        await whole(self._stage.truth, "", _REPAIR_SECONDS)


def _pod(where: tuple[str, str], name: str, node: str, *command: str) -> Body:
    """A pod of one of the model's services, as restricted as its plan asks for."""
    namespace, service = where
    container: Body = {
        "name": "main",
        "image": SANDBOX_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["pod", *command],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": service}},
        "spec": {
            "containers": [container],
            "serviceAccountName": service,
            "nodeSelector": {"kubernetes.io/hostname": node},
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        },
    }
