"""Every covered field of every kind, changed one at a time in as many objects at once as there are."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator

import pytest

from driftd.lab import Lab
from tests.support.edits import Body, Edit, edits_of
from tests.support.faulty import Scene
from tests.support.kube import KubeError
from tests.support.shared_stage import Standing, on, sound, standing
from tests.support.stage import compiled_models

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]  # judging every state costs CPU

Place = tuple[str, str, str]


@pytest.fixture(scope="module")
def driftd(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing(lab, tmp_path_factory.mktemp("fields")) as one:
        yield one


@pytest.fixture
async def scene(driftd: Standing) -> AsyncIterator[Scene]:
    async with on(driftd) as one:
        yield one


async def enforced(scene: Scene) -> dict[Place, Body]:
    """The live objects of the model where it enforces."""
    compiled = compiled_models(scene.models)
    found: dict[Place, Body] = {}
    for governed in compiled.governed.values():
        for ref in governed.objects:
            if governed.mode_of(ref.kind).value == "enforce":
                body = await scene.kube.get(ref.kind, ref.namespace, ref.name)
                found[ref.kind, ref.namespace, ref.name] = {"kind": ref.kind, **body}
    return found


def rounds_of(objects: dict[Place, Body]) -> list[list[tuple[Place, Edit]]]:
    """One edit of each shape, dealt out so that no object has two in one round and rounds are few."""
    bearers: dict[str, list[tuple[Place, Edit]]] = defaultdict(list)
    for place, body in objects.items():
        seen = set()
        for edit in edits_of(body):
            if edit.shape not in seen and edit.applied(body) != body:
                seen.add(edit.shape)
                bearers[edit.shape].append((place, edit))
    load: Counter[Place] = Counter()
    rounds: list[list[tuple[Place, Edit]]] = []
    for _, candidates in sorted(bearers.items(), key=lambda entry: (len(entry[1]), entry[0])):
        place, edit = min(candidates, key=lambda one: (load[one[0]], one[0]))
        if load[place] == len(rounds):
            rounds.append([])
        rounds[load[place]].append((place, edit))
        load[place] += 1
    return rounds


def covered(body: Body) -> Body:
    """What has to be as it was, whatever driftd's own forms say: everything but what the server and writers count."""
    meta = body["metadata"]
    notes = {key: value for key, value in (meta.get("annotations") or {}).items() if key != "driftd.dev/epoch"}
    kept = {key: value for key, value in body.items() if key not in ("metadata", "status", "apiVersion")}
    return {**kept, "labels": meta.get("labels") or {}, "annotations": notes, "owners": meta.get("ownerReferences")}


async def stored(scene: Scene, place: Place, edit: Edit) -> bool:
    """Make an edit; False where the API server refuses it, or stores nothing because it means the same."""
    for _ in range(5):
        live = await scene.kube.get(*place)
        body = {**edit.applied({"kind": place[0], **live})}
        try:
            after = await scene.kube.replace(body)
        except KubeError as error:
            if error.status == 409:
                continue
            if error.status == 422:
                return False
            raise
        return bool(after["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"])
    raise AssertionError(f"{place} is written all the time")


async def test_every_covered_field_that_is_changed_is_put_back(scene: Scene) -> None:
    objects = await enforced(scene)
    rounds = rounds_of(objects)
    done: Counter[str] = Counter()
    refused: list[str] = []
    changed: Counter[Place] = Counter()
    for edits in rounds:
        answers = await asyncio.gather(*(stored(scene, place, edit) for place, edit in edits))
        for (place, edit), took in zip(edits, answers, strict=True):
            if took:
                done[place[0]] += 1
                changed[place] += 1
            else:
                refused.append(edit.shape)
        await scene.canonical(60.0)
    print(f"{len(rounds)} rounds, {dict(done)} stored, not stored: {refused}")
    for place, body in objects.items():
        assert covered({"kind": place[0], **await scene.kube.get(*place)}) == covered(body), place
    assert done["NetworkPolicy"] >= 50
    assert done["ResourceQuota"] >= 8
    assert done["LimitRange"] >= 12
    assert done["Namespace"] >= 12
    assert done["ServiceAccount"] >= 4
    repairs = Counter((key.namespace, key.name) for _, key in scene.repairs().elements())
    for (_, namespace, name), times in changed.items():
        assert repairs[namespace, name] >= times, (namespace, name)
    found = await sound(scene, 60.0)
    for (_, namespace, name), times in changed.items():
        about = [past for past in found.about(name, namespace) if past.seen.finding.type.value == "modified"]
        assert len(about) >= times, (namespace, name, times, len(about))
