"""What the API server itself says right now: a GET without resourceVersion is answered from etcd, never from a cache.

Lists and watches come from the server's watch cache, which has been seen to miss deletions for a day
(kubernetes/kubernetes#123072). So a vanished object is proved gone here before anything is done about it.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from driftd.cluster.errors import BadAnswer, BodyTooLarge, ClusterError, Gone, NotFound
from driftd.cluster.paths import collection_path, object_path
from driftd.cluster.session import JSON, Session, Timeouts
from driftd.cluster.wire import METADATA, METADATA_LIST, Malformed, ObjectReader, Page, read_page
from driftd.policy.kinds import same_policy
from driftd.values import Live, ObjectRef, Resource

LIST_TIMEOUTS: Final = Timeouts(connect=5.0, read=30.0, total=120.0)
_log = structlog.get_logger()


class KindNotServed(ClusterError):
    """The server does not serve this kind in this version: nothing follows for any object of it."""


class ListExpired(ClusterError):
    """The continue token outlived the server's history: what was read so far is no list of anything."""


class _Listed(Protocol):
    @property
    def resource(self) -> Resource: ...

    @property
    def partial(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Truth:
    """Reads single objects past every cache. `reader_of` gives the reader of an object's kind."""

    session: Session
    reader_of: Callable[[ObjectRef], ObjectReader]

    async def get(self, ref: ObjectRef) -> Live | None:
        """The object now; None is the proof of absence: the server denied exactly this object.

        Raises:
            KindNotServed: a 404 that is not about the object. Other ClusterErrors: nothing is known.
        """
        reader = self.reader_of(ref)
        path = object_path(reader.resource, ref)
        try:
            answer = await self.session.request("GET", path, accept=METADATA if reader.partial else JSON)
        except NotFound as error:
            if error.is_object(ref.name):
                return None
            raise KindNotServed(f"GET {path}: the API server does not serve {reader.resource}") from error
        try:
            live = reader.live(answer.body)
        except Malformed as error:
            raise BadAnswer("GET", path, str(error)) from error
        if not same_policy(live.ref, ref):
            raise BadAnswer("GET", path, "another object than the one asked for")
        return live


async def pages(session: Session, reader: _Listed, limit: int = 500) -> AsyncIterator[Page]:
    """The pages of one consistent list of a kind, all namespaces, no older than now (resourceVersion unset).

    An answer too large for the session is asked for again in smaller pages, which grow again behind what was large.

    Raises:
        ListExpired: the server forgot the list's version on the way; start again and forget the pages read.
        KindNotServed, and the errors of a request. BadAnswer for a page that is no list.
    """
    path = collection_path(reader.resource)
    token, wanted = "", limit
    while True:
        query = {"limit": str(limit)} | ({"continue": token} if token else {})
        try:
            answer = await session.request(
                "GET", path, query=query, accept=METADATA_LIST if reader.partial else JSON, timeouts=LIST_TIMEOUTS
            )
            page = read_page(answer.body)
        except NotFound as error:
            raise KindNotServed(f"GET {path}: the API server does not serve {reader.resource}") from error
        except Gone as error:
            if token:
                raise ListExpired(f"GET {path}: the list's continue token expired") from error
            raise
        except BodyTooLarge:
            if limit == 1:
                raise
            limit = max(1, limit // 4)
            _log.warning("cluster.list.smaller_pages", kind=str(reader.resource), limit=limit)
            continue
        except Malformed as error:
            raise BadAnswer("GET", path, str(error)) from error
        yield page
        if not page.token:
            return
        token = page.token
        if len(answer.body) < session.body_limit // 8:
            limit = min(wanted, limit * 4)
