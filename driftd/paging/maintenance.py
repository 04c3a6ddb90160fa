"""Maintenance windows from a file that may change at any moment, as a mounted ConfigMap does."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import structlog

from driftd.paging.pages import PageClass, line
from driftd.paging.rules import Maintenance

_log = structlog.get_logger()

_LONGEST = timedelta(days=7)
_MOST_BYTES = 256 * 1024


class _Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"begin": "from", "end": "until"}):
    begin: datetime
    end: datetime
    reason: str
    tenants: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    classes: frozenset[PageClass] = frozenset(PageClass) - {PageClass.CROSSING}


class UnusableMaintenance(ValueError):
    """The file does not say what it ought to."""


def read(data: bytes) -> tuple[Maintenance, ...]:
    """The windows in a JSON list of `{from, until, reason, tenants, namespaces, classes}`; raises UnusableMaintenance.

    Times are ISO 8601, UTC unless an offset is said. No window is longer than a week: whoever forgets one is told then.
    """
    try:
        windows = msgspec.json.decode(data, type=tuple[_Window, ...])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnusableMaintenance(f"expected a JSON list of windows with from, until and reason: {error}") from error
    found = []
    for number, one in enumerate(windows, 1):
        begin, end = _aware(one.begin), _aware(one.end)
        if not timedelta() < end - begin <= _LONGEST:
            raise UnusableMaintenance(f"window {number} lasts {end - begin}: expected more than 0 and at most 7 days")
        found.append(Maintenance(begin, end, line(one.reason), one.tenants, one.namespaces, one.classes))
    return tuple(found)


class MaintenanceFile:
    """The windows as last read; a file that cannot be used leaves those before it in force, and is told in the log."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: bytes | None = None
        self.windows: tuple[Maintenance, ...] = ()

    async def refresh(self) -> None:
        """Read the file if it has changed."""
        if self._path is None:
            return
        try:
            data = await asyncio.to_thread(_content, self._path)
        except FileNotFoundError:
            self._seen, self.windows = None, ()
            return
        except OSError as error:
            _log.warning("page.maintenance_unreadable", file=str(self._path), why=error.strerror)
            return
        if data == self._seen:
            return
        self._seen = data
        try:
            self.windows = read(data)
        except UnusableMaintenance as error:
            _log.error("page.maintenance_unusable", file=str(self._path), why=str(error))
            return
        _log.info("page.maintenance", windows=len(self.windows))


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES)


def _aware(moment: datetime) -> datetime:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
