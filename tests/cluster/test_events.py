"""Events are a courtesy: limited, never repeated at once, and their loss harms nobody."""

import asyncio
from collections.abc import Callable

from driftd.cluster import EventRecorder, Notice, Pace, Session
from driftd.values import ObjectRef
from tests.support.api_server import ApiServer, answer, status
from tests.support.cluster import NAMESPACE, NETPOL, HandClock, Until

PATH = "/apis/events.k8s.io/v1/namespaces/{}/events"


def notice(name: str = "x", note: str = "egress opened") -> Notice:
    ref = ObjectRef(NETPOL.group, NETPOL.kind, "a", name)
    return Notice(NETPOL, ref, "u", warning=True, reason="DriftFound", action="Repair", note=note)


async def run_until(recorder: EventRecorder, until: Until, condition: Callable[[], bool]) -> None:
    task = asyncio.create_task(recorder.run())
    await until(condition)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_event_is_written_once_in_ten_minutes_and_then_again(
    server: ApiServer, session: Session, pace: Pace, clock: HandClock, until: Until
) -> None:
    server.routes["POST", PATH.format("a")] = answer(201, {})
    recorder = EventRecorder(session, pace, "me")
    recorder.tell(notice())
    recorder.tell(notice())
    await run_until(recorder, until, lambda: recorder.written == 1)
    clock.time += 601
    recorder.tell(notice())
    await run_until(recorder, until, lambda: recorder.written == 2)
    (_, _, body), _ = server.bodies
    assert body["regarding"] == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "name": "x",
        "uid": "u",
        "namespace": "a",
    }
    assert (body["type"], body["reason"], body["note"]) == ("Warning", "DriftFound", "egress opened")


async def test_an_event_of_a_cluster_scoped_object_lives_in_default(
    server: ApiServer, session: Session, pace: Pace, until: Until
) -> None:
    server.routes["POST", PATH.format("default")] = answer(201, {})
    recorder = EventRecorder(session, pace, "me")
    recorder.tell(Notice(NAMESPACE, ObjectRef("", "Namespace", "", "a"), "u", False, "Compared", "Compare", "clean"))
    await run_until(recorder, until, lambda: recorder.written == 1)
    ((verb, path, body),) = server.bodies
    assert (verb, path) == ("POST", PATH.format("default"))
    assert body["metadata"]["namespace"] == "default"
    assert body["regarding"] == {"apiVersion": "v1", "kind": "Namespace", "name": "a", "uid": "u"}


async def test_refused_and_overflowing_events_are_dropped_and_counted(
    server: ApiServer, session: Session, pace: Pace, until: Until
) -> None:
    server.routes["POST", PATH.format("a")] = answer(403, status(403, "Forbidden"))
    recorder = EventRecorder(session, pace, "me")
    for number in range(300):
        recorder.tell(notice(f"p{number}"))
    assert recorder.dropped == 300 - 256
    await run_until(recorder, until, lambda: recorder.dropped > 300 - 256)
    assert recorder.written == 0


async def test_notes_are_one_short_line(server: ApiServer, session: Session, pace: Pace, until: Until) -> None:
    server.routes["POST", PATH.format("a")] = answer(201, {})
    recorder = EventRecorder(session, pace, "me")
    recorder.tell(notice(note="a\nb" * 2000))
    await run_until(recorder, until, lambda: recorder.written == 1)
    assert len(server.bodies[0][2]["note"]) <= 256
    assert "\n" not in server.bodies[0][2]["note"]
