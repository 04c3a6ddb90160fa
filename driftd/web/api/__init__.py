"""The API: people and programs with a token of the cluster ask and decide; the API server says who they are."""

from driftd.web.api.access import Access, Person, Wish
from driftd.web.api.handlers import Handlers
from driftd.web.api.limits import RateLimit
from driftd.web.api.server import ApiServer, ApiUnusable, Hook
from driftd.web.api.tls import ReloadingContext

__all__ = [
    "Access",
    "ApiServer",
    "ApiUnusable",
    "Handlers",
    "Hook",
    "Person",
    "RateLimit",
    "ReloadingContext",
    "Wish",
]
