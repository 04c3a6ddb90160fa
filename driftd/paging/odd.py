"""What is odd about one page, held away from the engine and from other pages; odd findings are offered again."""

import contextlib
from collections.abc import Iterator
from datetime import datetime

import structlog

from driftd.paging.machine import AGAIN_SECONDS
from driftd.values import Finding

_log = structlog.get_logger()


@contextlib.contextmanager
def contained(**about: str) -> Iterator[None]:
    """The border to the engine: a fault of paging must not cost a repair, nor an odd finding the pages of others."""
    try:
        yield
    except Exception:  # noqa: BLE001 - said above
        _log.exception("page.fault", **about)


class OddFindings:
    """Findings whose page could not be made, each as it is known by now, with since when it is open."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Finding, datetime]] = {}
        self._again_at = 0.0

    @contextlib.contextmanager
    def kept_if_odd(self, finding: Finding, since: datetime) -> Iterator[None]:
        """A finding whose page cannot be made within is one of these; the others go on."""
        self._found[finding.id] = finding, since
        with contained(finding=finding.id):
            yield
            del self._found[finding.id]

    def reported(self, finding: Finding) -> bool:
        """More is known of a finding; whether it is one of these."""
        if finding.id not in self._found:
            return False
        self._found[finding.id] = finding, self._found[finding.id][1]
        return True

    def closed(self, id: str) -> None:
        """A finding is over."""
        self._found.pop(id, None)

    def again(self, now: float) -> list[tuple[Finding, datetime]]:
        """Those to offer again at this moment: all, once a minute."""
        if now < self._again_at:
            return []
        self._again_at = now + AGAIN_SECONDS
        return list(self._found.values())

    def forget(self) -> None:
        """Another replica pages these now."""
        self._found.clear()
