"""The API wired: who is asked about people, what it acts on, where it listens."""

from collections.abc import Callable
from typing import Any

from driftd.cluster import Elector, Session
from driftd.engine import ModelLoop, Pauses
from driftd.paging import recent
from driftd.settings import Settings
from driftd.store import Store
from driftd.values import Clock
from driftd.web.api import Access, ApiServer, ApiUnusable, Handlers, Hook, RateLimit, ReloadingContext


def api_server(
    settings: Settings,
    *,
    session: Session,
    clock: Clock,
    models: ModelLoop,
    pauses: Pauses,
    store: Store,
    elector: Elector,
    poke: Callable[[], None] | None,
) -> ApiServer:
    """The server that the settings ask for. Raises `ApiUnusable` for a certificate that cannot be loaded.

    `poke` has the source looked at; a source without it has no use for a webhook.
    """
    web = settings.web

    async def pages(tenant: str | None, limit: int) -> list[dict[str, Any]]:
        return await recent(store, tenant=tenant, limit=limit)

    handlers = Handlers(
        access=Access(session, web.api_audience),
        models=models,
        pauses=pauses,
        archive=store,
        pages=pages,
        leader=lambda: None if elector.leading else elector.holder,
    )
    tls = None
    if web.api_certificate_file is not None and web.api_key_file is not None:
        try:
            tls = ReloadingContext(web.api_certificate_file, web.api_key_file, clock.monotonic).front
        except OSError as error:  # ssl.SSLError is one
            raise ApiUnusable(str(web.api_certificate_file), error.strerror or type(error).__name__) from None
    hook = None
    if web.hook_secret_file is not None and poke is not None:
        hook = Hook(web.hook_secret_file, poke)
    return ApiServer(handlers, RateLimit(clock.monotonic), host=web.api_host, port=web.api_port, tls=tls, hook=hook)
