"""What `kubectl run`, `exec` and `logs` do, through the API server, for whoever has no kubectl."""

import asyncio
import json
import time
from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp

from driftd.lab.admin import Admin
from driftd.lab.errors import AdminRequestError, LabError
from driftd.values import Body

# `k8s.io/apimachinery/pkg/util/remotecommand`: the channels of one stream, and how its end is told.
_PROTOCOL = "v5.channel.k8s.io"
_LOOK_EVERY_SECONDS = 0.1
_STDOUT, _STDERR, _STATUS = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Execution:
    """What a command in a pod said, and its exit code."""

    code: int
    out: str
    err: str


class Pods:
    """Commands in pods, and what pods print. Raises `AdminRequestError` when the API server, or the node, refuses."""

    def __init__(self, api: Admin, server: str) -> None:
        self._api = api
        self._server = server

    async def start(self, body: Body, *, seconds: float = 60.0) -> str:
        """Create a pod, wait until all its containers run, and answer its address. Raises `LabError` if they do not."""
        metadata = body["metadata"]
        path = f"{self._server}/api/v1/namespaces/{metadata['namespace']}/pods"
        await self._api.fetch("POST", path, body)
        deadline = time.monotonic() + seconds
        while True:
            status = (await self._api.fetch("GET", f"{path}/{metadata['name']}"))["status"]
            # Its phase says Running as soon as a container was tried, even if it never started.
            states = [each["state"] for each in status.get("containerStatuses", ())]
            if status.get("podIP") and states and all("running" in state for state in states):
                return str(status["podIP"])
            if time.monotonic() > deadline:
                raise LabError(
                    f"Pod {metadata['namespace']}/{metadata['name']} does not run after {seconds:.0f} s: "
                    f"{status['phase']}, {states or status.get('conditions')}"
                )
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    async def exec(self, namespace: str, pod: str, *command: str, seconds: float = 60.0) -> Execution:
        """Run a command in the first container of a pod, without input, and wait for its end."""
        query = urlencode([("stdout", "true"), ("stderr", "true"), *(("command", word) for word in command)])
        url = f"{self._server}/api/v1/namespaces/{namespace}/pods/{pod}/exec?{query}"
        said: dict[int, bytes] = {_STDOUT: b"", _STDERR: b"", _STATUS: b""}
        try:
            async with self._api.websocket(url, _PROTOCOL, seconds) as stream:
                async for message in stream:
                    if message.type is aiohttp.WSMsgType.BINARY and message.data:
                        said[message.data[0]] = said.get(message.data[0], b"") + message.data[1:]
        except (aiohttp.ClientError, TimeoutError) as error:
            raise AdminRequestError(f"exec in {namespace}/{pod}: {type(error).__name__} {error}") from error
        if not said[_STATUS]:
            raise AdminRequestError(f"exec in {namespace}/{pod} was cut off: {command}")
        out, err = said[_STDOUT].decode(errors="replace"), said[_STDERR].decode(errors="replace")
        return Execution(_exit_code(json.loads(said[_STATUS]), f"{namespace}/{pod}"), out, err)

    async def logs(self, namespace: str, pod: str) -> str:
        """All that a pod has printed until now."""
        url = f"{self._server}/api/v1/namespaces/{namespace}/pods/{pod}/log"
        reply = await self._api.request("GET", url)
        if reply.code >= 300:
            raise AdminRequestError(f"logs of {namespace}/{pod}: {reply.code} {reply.text[:500]}")
        return reply.text


def _exit_code(status: dict[str, object], where: str) -> int:
    """Of a `metav1.Status`: success is 0, a failure carries the code as a cause, unless the command never ran."""
    if status.get("status") == "Success":
        return 0
    details = status.get("details")
    causes = details.get("causes", ()) if isinstance(details, dict) else ()
    for cause in causes:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise AdminRequestError(f"exec in {where}: {status.get('message')}")
