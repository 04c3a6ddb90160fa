"""Who gets in, what they may do, what is written down of it, and what nobody is told."""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from driftd.documents import API_DOCUMENTS
from driftd.values import Direction, Finding, FindingType, ObjectRef, Scope, Severity, Witness
from tests.support.api_scene import ACME, ALICE, BASE, BOB, CARL, GLOBEX, VERA, Scene, scene_in
from tests.support.api_server import answer as answering
from tests.support.api_server import reset

EVERYTHING = [
    ("GET", "/api/model"),
    ("GET", "/api/findings"),
    ("GET", "/api/pages"),
    ("GET", "/api/pauses"),
    ("POST", "/api/pauses"),
    ("DELETE", "/api/pauses/acme-prod"),
    ("POST", "/api/approvals"),
    ("POST", "/api/retirements"),
]


def bodies(namespace: str = "acme-prod") -> dict[str, dict[str, object]]:
    return {
        "/api/pauses": {"namespace": namespace, "seconds": 60, "reason": "INC-1"},
        "/api/approvals": {"commit": "dir:0123456789ab"},
        "/api/retirements": {"namespace": namespace},
    }


# -- who gets in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"), [*EVERYTHING, ("GET", "/api/nothing"), ("GET", "/"), ("PUT", "/api/model")]
)
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer wrong", "Bearer " + "x" * 4000, "Bearer \xe9"],
)
async def test_nothing_at_all_is_answered_without_a_token_that_is_known(
    scene: Scene, method: str, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    status, found = await scene.ask(method, path, "", **headers)
    assert (status, found["kind"], found["reason"]) == (401, "Problem", "NotAuthenticated")
    assert "wrong" not in json.dumps(found)


@pytest.mark.parametrize(("method", "path"), [one for one in EVERYTHING if one[0] != "GET"])
async def test_who_may_only_look_changes_nothing(scene: Scene, method: str, path: str) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    status, found = await scene.ask(method, path, VERA, bodies().get(path))
    assert status == 403
    assert "vera may not" in found["message"]
    assert scene.pauses.all() == ()
    assert await scene.audited("pause.begun") == []


@pytest.mark.parametrize("path", [path for method, path in EVERYTHING if method == "GET"])
async def test_who_may_look_sees_documents_with_a_schema(scene: Scene, path: str) -> None:
    await scene.offer(BASE, ACME)
    status, found = await scene.ask("GET", path, VERA)
    assert status == 200
    assert found["apiVersion"] == "driftd.dev/v1alpha1"
    TypeAdapter(API_DOCUMENTS[found["kind"]]).validate_json(json.dumps(found))


async def test_a_right_to_one_name_is_none_to_another(scene: Scene) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    status, found = await scene.ask("POST", "/api/pauses", CARL, bodies("acme-prod")["/api/pauses"])
    assert (status, found["message"].partition(";")[0]) == (403, "carl may not create pauses.driftd.dev acme-prod")
    status, _ = await scene.ask("POST", "/api/pauses", CARL, bodies("globex-prod")["/api/pauses"])
    assert status == 201
    assert [one.namespace for one in scene.pauses.all()] == ["globex-prod"]


async def test_everything_in_a_namespace_is_not_enough_to_stop_driftd_there(scene: Scene) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    for path, body in bodies("globex-prod").items():
        assert (await scene.ask("POST", path, BOB, body))[0] == 403
    assert (await scene.ask("DELETE", "/api/pauses/globex-prod", BOB))[0] == 403
    assert (await scene.ask("GET", "/api/findings", BOB))[0] == 403
    assert (await scene.ask("GET", "/api/findings?namespace=globex-prod", BOB))[0] == 200


async def test_a_right_in_one_namespace_shows_its_findings_and_nobody_elses_name(scene: Scene) -> None:
    ref = ObjectRef("networking.k8s.io", "NetworkPolicy", "globex-prod", "hole")
    witness = Witness("acme-prod/web", "globex-prod/vault", "TCP", "8200")
    finding = Finding(
        id="f", type=FindingType.RELABELLED, ref=ref, scope=Scope("globex-prod"), tenant="globex",
        direction=Direction.LOOSENS, severity=Severity.CRITICAL, summary=f"it opens {witness}", witness=witness,
    )  # fmt: skip
    await scene.store.begin([finding], [])
    status, found = await scene.ask("GET", "/api/findings?namespace=globex-prod", BOB)
    assert (status, len(found["lives"])) == (200, 1)
    assert "acme" not in json.dumps(found)
    assert found["lives"][0]["finding"]["witness"]["target"] == "globex-prod/vault"
    _, found = await scene.ask("GET", "/api/findings?namespace=globex-prod", VERA)
    assert found["lives"][0]["finding"]["summary"] == f"it opens {witness}"


async def test_a_token_must_be_made_for_the_audience_that_the_settings_name(tmp_path: Path) -> None:
    async with scene_in(tmp_path, audience="driftd") as scene:
        assert (await scene.ask("GET", "/api/model"))[0] == 401  # a server that knows no audiences names none
        scene.reviews.audiences = ["other"]
        assert (await scene.ask("GET", "/api/model"))[0] == 401
        scene.reviews.audiences = ["driftd"]
        assert (await scene.ask("GET", "/api/model"))[0] == 200
        assert scene.reviews.asked[0]["audiences"] == ["driftd"]


async def test_when_the_api_server_cannot_say_who_asks_nobody_gets_in(scene: Scene) -> None:
    scene.kubernetes.fail("POST", "tokenreviews", answering(500, {}), times=1)
    status, found = await scene.ask("GET", "/api/model")
    assert (status, found["reason"]) == (503, "Unable")
    scene.kubernetes.fail("POST", "subjectaccessreviews", reset, times=2)
    assert (await scene.ask("GET", "/api/model"))[0] == 503
    assert (await scene.ask("GET", "/api/model"))[0] in (200, 503)


# -- what they do -----------------------------------------------------------------------------------------------------


async def test_a_held_model_is_approved_by_name_and_that_is_audited(scene: Scene) -> None:
    await scene.offer(BASE, ACME)
    await scene.offer(BASE)
    commit = scene.models.status.newest
    _, state = await scene.ask("GET", "/api/model")
    assert (state["newest"], state["approvable"]) == (commit, True)
    status, found = await scene.ask("POST", "/api/approvals", body={"commit": commit, "reason": "meant"})
    assert (status, found["commit"], found["by"]) == (201, commit, "alice")
    await scene.models.consider()
    _, state = await scene.ask("GET", "/api/model")
    assert (state["commit"], state["held"], state["orphaned"]) == (commit, "", ["acme-prod"])
    assert "model.approved" in scene.log.getvalue()
    assert ALICE not in scene.log.getvalue()
    (row,) = await scene.audited("model.approved")
    assert "alice" in row
    assert "meant" in row


async def test_an_approval_of_something_else_is_refused(scene: Scene) -> None:
    await scene.offer(BASE, ACME)
    status, found = await scene.ask("POST", "/api/approvals", body={"commit": "dir:0123456789ab"})
    assert (status, found["reason"]) == (404, "NotKnown")


async def test_an_orphan_is_retired_and_what_stays_is_told(scene: Scene) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    assert (await scene.ask("POST", "/api/retirements", body={"namespace": "acme-prod"}))[0] == 409
    await scene.offer(BASE, GLOBEX)
    status, found = await scene.ask("POST", "/api/retirements", body={"namespace": "acme-prod", "reason": "over"})
    assert (status, found["tenant"], found["by"]) == (201, "acme", "alice")
    assert found["left"]["NetworkPolicy"] >= 1
    (row,) = await scene.audited("namespace.retired")
    assert "alice" in row


async def test_a_namespace_is_paused_listed_and_resumed(scene: Scene) -> None:
    await scene.offer(BASE, ACME)
    status, found = await scene.ask("POST", "/api/pauses", body=bodies()["/api/pauses"])
    assert (status, found["pauses"][0]["until"]) == (201, "2026-06-01T12:01:00+00:00")
    assert (await scene.ask("GET", "/api/pauses"))[1]["pauses"] == found["pauses"]
    assert (await scene.ask("GET", "/api/model"))[1]["paused"] == ["acme-prod"]
    assert (await scene.ask("DELETE", "/api/pauses/acme-prod"))[0] == 200
    assert (await scene.ask("DELETE", "/api/pauses/acme-prod"))[0] == 404
    assert len(await scene.audited("pause.begun")) == len(await scene.audited("pause.ended")) == 1


async def test_a_namespace_that_had_its_pauses_for_the_day_is_refused_another(scene: Scene) -> None:
    await scene.offer(BASE, ACME)
    wish = {"namespace": "acme-prod", "seconds": 14_400, "reason": "x"}
    assert (await scene.ask("POST", "/api/pauses", body=wish))[0] == 201
    for begun in (4, 8):
        scene.clock.wall += timedelta(hours=4)
        status, found = await scene.ask("POST", "/api/pauses", body=wish)
        assert (status, found["kind"]) == ((201, "PauseList") if begun == 4 else (409, "Problem")), found
    assert "of any 24 h" in found["message"]


async def test_only_what_is_governed_can_be_paused(scene: Scene) -> None:
    await scene.offer(BASE, ACME)
    for namespace in ("kube-system", "driftd", "nowhere"):
        status, found = await scene.ask("POST", "/api/pauses", body=bodies(namespace)["/api/pauses"])
        assert (status, found["reason"]) == (404, "NotKnown")


async def test_only_the_leader_decides_and_knows_and_the_others_say_who_that_is(scene: Scene) -> None:
    await scene.offer(BASE, ACME)
    scene.leader[0] = "driftd-7"
    for path, body in bodies().items():
        status, found = await scene.ask("POST", path, body=body)
        assert (status, found["reason"]) == (503, "Elsewhere")
        assert "driftd-7 leads" in found["message"]
    assert [(await scene.ask("GET", path))[0] for path in ("/api/model", "/api/pauses")] == [503, 503]
    assert [(await scene.ask("GET", path))[0] for path in ("/api/findings", "/api/pages")] == [200, 200]


# -- what is not taken ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"namespace": "acme-prod", "seconds": 60, "reason": ""},
        {"namespace": "acme-prod", "seconds": 60},
        {"namespace": "acme-prod", "seconds": 0, "reason": "x"},
        {"namespace": "acme-prod", "seconds": 14401, "reason": "x"},
        {"namespace": "acme-prod", "seconds": "60", "reason": "x"},
        {"namespace": "acme-prod", "seconds": 1e99, "reason": "x"},
        {"namespace": "Acme_Prod", "seconds": 60, "reason": "x"},
        {"namespace": "../kube-system", "seconds": 60, "reason": "x"},
        {"namespace": "acme-prod", "seconds": 60, "reason": "x" * 501},
        {"namespace": "acme-prod", "seconds": 60, "reason": "x", "hush": "s3cret"},
        {"apiVersion": "v1", "namespace": "acme-prod", "seconds": 60, "reason": "x"},
        ["s3cret"],
        None,
    ],
)
async def test_a_request_that_is_no_such_document_is_refused_and_not_repeated(scene: Scene, body: object) -> None:
    await scene.offer(BASE, ACME)
    status, found = await scene.ask("POST", "/api/pauses", body=body)
    assert (status, found["reason"]) == (400, "Malformed")
    assert "s3cret" not in found["message"]
    assert scene.pauses.all() == ()


async def test_a_big_body_is_refused(scene: Scene) -> None:
    status, found = await scene.ask("POST", "/api/pauses", body={"reason": "x" * 40_000})
    assert (status, found["reason"]) == (413, "TooLarge")


@pytest.mark.parametrize("limit", ["0", "501", "-1", "x", "99999999999999999999", "\u0661"])
async def test_a_limit_that_is_none_is_refused(scene: Scene, limit: str) -> None:
    assert (await scene.ask("GET", f"/api/findings?limit={limit}"))[0] == 400


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/api/nothing", 404), ("PUT", "/api/model", 405)])
async def test_what_does_not_exist_is_told_as_a_document(scene: Scene, method: str, path: str, status: int) -> None:
    got, found = await scene.ask(method, path)
    assert (got, found["kind"], found["status"]) == (status, "Problem", status)


async def test_one_address_that_asks_without_end_is_slowed_down(scene: Scene) -> None:
    statuses = [(await scene.ask("GET", "/api/model", "nobody-known"))[0] for _ in range(45)]
    assert statuses == [401] * 40 + [429] * 5
    assert len(scene.reviews.asked) == 40  # the API server is spared as well
    scene.clock.seconds += 1.0
    assert (await scene.ask("GET", "/api/model"))[0] == 200


# -- the webhook ------------------------------------------------------------------------------------------------------


def signature(body: bytes, secret: bytes = b"hush") -> str:
    return hmac.new(secret, body, sha256).hexdigest()


BODY = b'{"ref": "refs/heads/main"}'


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Hub-Signature-256": f"sha256={signature(BODY)}"}, 202),
        ({"X-Gitea-Signature": signature(BODY)}, 202),
        ({"X-Gitlab-Token": "hush"}, 202),
        ({}, 401),
        ({"X-Hub-Signature-256": f"sha256={signature(BODY, b'other')}"}, 401),
        ({"X-Hub-Signature-256": f"sha256={signature(b'other')}"}, 401),
        ({"X-Hub-Signature-256": ""}, 401),
        ({"X-Gitlab-Token": ""}, 401),
        ({"Authorization": f"Bearer {ALICE}"}, 401),
    ],
)
async def test_a_webhook_is_heard_when_it_knows_the_secret(scene: Scene, headers: dict[str, str], status: int) -> None:
    async with scene.http.post(f"{scene.address}/hooks/model", data=BODY, headers=headers) as answer:
        assert answer.status == status
    assert len(scene.knocks) == (status == 202)


async def test_a_webhook_without_a_readable_secret_is_not_heard(scene: Scene) -> None:
    for change in ("", None):
        if change is None:
            (scene.folder / "secret").unlink()
        else:
            (scene.folder / "secret").write_text(change)
        headers = {"X-Gitlab-Token": "", "X-Hub-Signature-256": f"sha256={signature(BODY, b'')}"}
        async with scene.http.post(f"{scene.address}/hooks/model", data=BODY, headers=headers) as answer:
            assert answer.status == 503
    assert scene.knocks == []


async def test_knocks_that_never_end_keep_nobody_else_out_and_are_few(scene: Scene) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    async def knock() -> int:
        headers = {"X-Gitlab-Token": "a guess"}
        async with scene.http.post(f"{scene.address}/hooks/model", data=endless(), headers=headers) as answer:
            return answer.status

    knocks = [asyncio.create_task(knock()) for _ in range(10)]
    refused, waiting = await asyncio.wait(knocks, timeout=2.0)
    assert [one.result() for one in refused] == [503] * 6
    assert (await scene.ask("GET", "/api/model"))[0] == 200
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert scene.knocks == []


async def test_a_knock_without_any_proof_is_refused_unread(scene: Scene) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    async with asyncio.timeout(4), scene.http.post(f"{scene.address}/hooks/model", data=endless()) as answer:
        assert answer.status == 401


async def test_a_long_knock_is_refused(scene: Scene) -> None:
    headers = {"X-Gitlab-Token": "a guess"}
    try:
        async with scene.http.post(
            f"{scene.address}/hooks/model", data=BytesIO(bytes(3_000_000)), headers=headers
        ) as answer:
            assert answer.status == 413
    except OSError:  # hung up while we still wrote: refused as well
        await asyncio.sleep(0)
    assert scene.knocks == []
