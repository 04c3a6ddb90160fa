"""Logs are events with constant names and keys, one JSON object a line; never bodies."""

import logging
import sys
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from driftd.values import redacted

LONGEST_VALUE = 1024
"""Tenant-chosen text is cut to this many characters, so that nobody can flood the log through a name or a message."""

_QUIET = {
    "aiohttp.access": logging.WARNING,
    "alembic": logging.WARNING,
    "asyncio": logging.WARNING,
    "dulwich": logging.INFO,  # logs every packet at DEBUG, pieces of the model among them
    "httpcore2": logging.WARNING,
    "httpx2": logging.WARNING,  # a line for each request
    "kubernetes_asyncio.client.rest": logging.INFO,  # logs whole response bodies at DEBUG, Secrets included
    "kubernetes.client.rest": logging.INFO,
    "client.rest": logging.INFO,  # the name it really uses (kubernetes_asyncio 36.1)
    "opentelemetry": logging.CRITICAL,  # a lost collector shows in a metric; its address may hold a password
    "pagerduty": logging.CRITICAL,  # says of each setback what the pager says again, and calls none transient
    "sqlalchemy": logging.WARNING,
}


def configure_logs(*, level: str = "info", json: bool = True, stream: TextIO | None = None) -> None:
    """Route structlog and the standard library's loggers to one stream (stderr: stdout holds documents only).

    `level` is a standard level name; `json` false prints aligned key=value lines for people.
    """
    out = stream or sys.stderr
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _cut,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if json
        else structlog.dev.ConsoleRenderer(colors=out.isatty(), pad_event_to=28)
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _without_logins,
            renderer,
        ],
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, threshold))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _cut(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if isinstance(value, str) and len(value) > LONGEST_VALUE and key != "exception":
            event[key] = value[:LONGEST_VALUE] + "…"
    return event


def _without_logins(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """No URL leaves with its user and password, whoever put it into a message or an exception."""
    for key, value in event.items():
        if isinstance(value, str) and "://" in value:
            event[key] = redacted(value)
    return event


def _dumps(event: EventDict, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()
