"""What each endpoint does, once it is known who asks; the room that makes a change audits it with that name."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

import structlog
from aiohttp import web
from pydantic import ValidationError

from driftd.documents import (
    Approval,
    ApprovalRequest,
    Document,
    FindingList,
    ModelState,
    PageList,
    PauseEntry,
    PauseList,
    PauseRequest,
    Retirement,
    RetirementRequest,
    life_entry,
)
from driftd.engine import (
    ModelLoop,
    NotApprovable,
    NotHeld,
    NotOrphaned,
    NotPaused,
    Pause,
    PausedTooMuch,
    Pauses,
    PauseTooLong,
)
from driftd.store import Archive
from driftd.values import CLUSTER, Scope
from driftd.web.api.access import Access, Person, Wish
from driftd.web.api.problems import Elsewhere, Malformed, NotAllowed, NotKnown, NotNow

PERSON: Final = web.RequestKey("person", Person)
"""Who asks: put there before any handler runs."""

Pages = Callable[[str | None, int], Awaitable[Sequence[dict[str, Any]]]]
"""Reads the newest pages of a tenant, or of everybody, so many at most."""

_MOST = 500
_D = TypeVar("_D", bound=Document)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Handlers:
    """The endpoints. `leader` names who leads if this replica does not, and is None if it does."""

    access: Access
    models: ModelLoop
    pauses: Pauses
    archive: Archive
    pages: Pages
    leader: Callable[[], str | None]

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/model", self.model),
            web.get("/api/findings", self.findings),
            web.get("/api/pages", self.paged),
            web.get("/api/pauses", self.paused),
            web.post("/api/pauses", self.pause),
            web.delete("/api/pauses/{namespace}", self.resume),
            web.post("/api/approvals", self.approve),
            web.post("/api/retirements", self.retire),
        ]

    # -- reading ------------------------------------------------------------------------------------------------------

    async def model(self, request: web.Request) -> web.Response:
        await self._permitted(request, Wish("get", "models"))
        self._must_lead()
        status, in_force = self.models.status, self.models.in_force
        return answer(
            ModelState(
                commit=in_force.commit if in_force else "",
                newest=status.newest,
                held=status.held,
                approvable=status.approvable,
                quarantined=tuple(sorted(status.quarantined)),
                orphaned=tuple(sorted(in_force.orphaned)) if in_force else (),
                paused=tuple(one.namespace for one in self.pauses.all()),
            )
        )

    async def findings(self, request: web.Request) -> web.Response:
        namespace, tenant, limit = request.query.get("namespace"), request.query.get("tenant"), _limit(request)
        only = await self._findings_of(request, namespace)
        found = await self.archive.history(namespace=namespace, tenant=tenant, limit=limit + 1)
        lives = tuple(life_entry(one, only) for one in found[:limit])
        return answer(FindingList(lives=lives, more=len(found) > limit))

    async def paged(self, request: web.Request) -> web.Response:
        tenant, limit = request.query.get("tenant"), _limit(request)
        await self._permitted(request, Wish("list", "pages"))
        return answer(PageList(pages=tuple(await self.pages(tenant, limit))))

    async def paused(self, request: web.Request) -> web.Response:
        await self._permitted(request, Wish("list", "pauses"))
        self._must_lead()
        return answer(PauseList(pauses=tuple(map(_pause_entry, self.pauses.all()))))

    # -- changing -----------------------------------------------------------------------------------------------------
    # All of it is asked about the whole cluster, with the namespace as the name: who holds everything ("*") in a
    # namespace by a RoleBinding is whom driftd keeps in bounds there, and must not be able to stop it.

    async def approve(self, request: web.Request) -> web.Response:
        asked = await _body(request, ApprovalRequest)
        person = await self._permitted(request, Wish("create", "approvals", name=asked.commit))
        self._must_lead()
        try:
            commit = await self.models.approve(asked.commit, person.name, asked.reason)
        except NotHeld as error:
            raise NotKnown(str(error)) from error
        except NotApprovable as error:
            raise NotNow(str(error)) from error
        return answer(Approval(commit=commit, by=person.name), 201)

    async def retire(self, request: web.Request) -> web.Response:
        asked = await _body(request, RetirementRequest)
        person = await self._permitted(request, Wish("create", "retirements", name=asked.namespace))
        self._must_lead()
        try:
            kept = await self.models.retire(asked.namespace, person.name, asked.reason)
        except NotOrphaned as error:
            raise NotNow(str(error)) from error
        left = Counter(ref.kind for ref in kept.objects)
        return answer(Retirement(namespace=kept.name, tenant=kept.tenant, by=person.name, left=dict(left)), 201)

    async def pause(self, request: web.Request) -> web.Response:
        asked = await _body(request, PauseRequest)
        person = await self._permitted(request, Wish("create", "pauses", name=asked.namespace))
        self._must_lead()
        scope, model = Scope(asked.namespace), self.models.in_force
        if scope == CLUSTER or model is None or model.governed(scope) is None:
            raise NotKnown(f"driftd governs no namespace {asked.namespace}: there are no repairs to pause")
        try:
            begun = await self.pauses.begin(
                asked.namespace, timedelta(seconds=asked.seconds), person.name, asked.reason
            )
        except PauseTooLong as error:
            raise Malformed(str(error)) from error
        except PausedTooMuch as error:
            raise NotNow(str(error)) from error
        return answer(PauseList(pauses=(_pause_entry(begun),)), 201)

    async def resume(self, request: web.Request) -> web.Response:
        namespace = request.match_info["namespace"]
        person = await self._permitted(request, Wish("delete", "pauses", name=namespace))
        self._must_lead()
        try:
            ended = await self.pauses.end(namespace, person.name)
        except NotPaused as error:
            raise NotKnown(str(error)) from error
        return answer(PauseList(pauses=(_pause_entry(ended),)))

    async def _findings_of(self, request: web.Request, namespace: str | None) -> str | None:
        """The one namespace that findings may be told of; None where they may be told whole. Raises `NotAllowed`."""
        try:
            await self._permitted(request, Wish("list", "findings"))
        except NotAllowed:
            if not namespace:
                raise
            await self._permitted(request, Wish("list", "findings", namespace))
            return namespace
        return None

    # -- shared -------------------------------------------------------------------------------------------------------

    async def _permitted(self, request: web.Request, wish: Wish) -> Person:
        person = request[PERSON]
        await self.access.allow(person, wish)
        return person

    def _must_lead(self) -> None:
        """Only the leader knows what is held and paused now, and only what it decides counts."""
        holder = self.leader()
        if holder is not None:
            raise Elsewhere(holder)


def answer(document: Document, status: int = 200) -> web.Response:
    """A document as an answer that no cache keeps."""
    return web.Response(
        status=status,
        body=document.model_dump_json(by_alias=True).encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


async def _body(request: web.Request, kind: type[_D]) -> _D:
    """The request's document. Raises `Malformed`, which names fields and never repeats what stood in them."""
    try:
        return kind.model_validate_json(await request.read())
    except ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in one['loc']) or 'the body'}: {one['msg']}"
            for one in error.errors(include_input=False, include_context=False, include_url=False)[:5]
        ]
        raise Malformed(f"the request is no {kind.__name__}: {'; '.join(faults)}") from None


def _limit(request: web.Request) -> int:
    said = request.query.get("limit", "100")
    if not (said.isascii() and said.isdigit() and len(said) <= len(str(_MOST)) and 1 <= int(said) <= _MOST):
        raise Malformed(f"limit: expected a number from 1 to {_MOST}")
    return int(said)


def _pause_entry(pause: Pause) -> PauseEntry:
    return PauseEntry(
        namespace=pause.namespace,
        begun=pause.begun.isoformat(),
        until=pause.until.isoformat(),
        by=pause.by,
        reason=pause.reason,
    )
