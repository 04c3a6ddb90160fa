"""Alertmanager: open pages are said again every minute with an end that moves on, until it is now."""

import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import aiohttp
import orjson
from yarl import URL

from driftd.paging.alerts import Alert, alert_of
from driftd.paging.destination import NotAccepted, Refused, retry_after
from driftd.paging.pages import line
from driftd.paging.step import Action, Step
from driftd.paging.wording import Links

_BATCH = 200
"""Alerts in one request."""
_NEVER = frozenset({400, 413, 422})


class Alertmanager:
    """One Alertmanager; of a cluster of them every member is told, as Prometheus does it."""

    takes_changes = False
    refresh_seconds = 60.0

    def __init__(
        self,
        *,
        url: str,
        cluster: Callable[[], str],
        links: Links,
        timeout_seconds: float = 5.0,
        ca_file: Path | None = None,
    ) -> None:
        base = URL(url)
        self.name = f"alertmanager {base.host}:{base.port}"
        self._url = base / "api/v2/alerts"
        self._cluster = cluster
        self._links = links
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None

    async def send(self, step: Step, at: datetime) -> None:
        """One try. Severity is part of an alert's identity: one that has become more urgent ends its old self."""
        told = step.told or step.page.urgency
        if step.action is Action.RESOLVE:
            await self._post([self._alert(step, at, over=True)], at)
            return
        alerts = [alert_of(step.page, self._cluster(), self._links, at, step.page.urgency, over=False)]
        if told is not step.page.urgency:
            alerts.append(self._alert(step, at, over=True))
        await self._post(alerts, at)

    async def refresh(self, steps: Sequence[Step], at: datetime) -> None:
        """Move the ends of open alerts on."""
        alerts = [self._alert(step, at, over=False) for step in steps]
        for start in range(0, len(alerts), _BATCH):
            await self._post(alerts[start : start + _BATCH], at)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _alert(self, step: Step, at: datetime, *, over: bool) -> Alert:
        return alert_of(step.page, self._cluster(), self._links, at, step.told or step.page.urgency, over=over)

    async def _post(self, alerts: Sequence[Alert], at: datetime) -> None:
        try:
            if self._session is None:
                trust = ssl.create_default_context(cafile=str(self._ca_file)) if self._ca_file else True
                connector = aiohttp.TCPConnector(ssl=trust)
                self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
            headers = {"Content-Type": "application/json"}
            async with self._session.post(self._url, data=orjson.dumps(alerts), headers=headers) as answer:
                status, words = answer.status, (await answer.content.read(512)).decode("utf-8", "replace")
                wish = retry_after(answer.headers.get("Retry-After"), at)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NotAccepted(self.name, f"no answer ({type(error).__name__})") from None
        if status in _NEVER:
            raise Refused(self.name, f"HTTP {status}: {line(words, 160)}")
        if not 200 <= status < 300:
            raise NotAccepted(self.name, f"HTTP {status}", wish)
