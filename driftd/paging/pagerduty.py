"""PagerDuty: the Events API v2 through the `pagerduty` package, in a thread of its own and without its patience.

What the package (7.2) does by itself, and what is done about it here: it sleeps between tries, without a bound on 429
and up to six times on 5xx (every try is ours, with a deadline); it logs each setback (its loggers are quiet, see
`telemetry.logs`); its errors carry part of the key and of the answer (they end here); `submit` needs a timestamp of
its own making that it cannot make (change events carry ours); nothing is cut to the API's bounds (`events` does that).
"""

import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from driftd.paging.destination import NotAccepted, Refused, retry_after
from driftd.paging.events import change_of, resolve_of, trigger_of
from driftd.paging.pages import line
from driftd.paging.step import Action, Step
from driftd.paging.thread import Hanging, OwnThread
from driftd.paging.wording import Links

if TYPE_CHECKING:
    from httpx2 import Response
    from pagerduty import EventsApiV2Client

US = "https://events.pagerduty.com"
"""The service region unless said; the other one is https://events.eu.pagerduty.com."""

_RETRIED_BY_THE_PACKAGE = (429, 500, 502, 503, 504)
_MISCONFIGURED = 60.0
"""Seconds between tries while the key or the address is wrong: no page may be lost by that."""
_NEVER = frozenset({400, 413, 422})


class PagerDuty:
    """One integration key.

    Args:
        name: what deliveries are recorded under.
        key: asked for the routing key at each try; it leaves only in the bodies of requests.
        timeout_seconds: bound on connecting, on writing and on reading; a whole try has three times as long.
        ca_file: certificates to trust besides none other, for a proxy or a stand-in.
    """

    takes_changes = True
    refresh_seconds = 0.0

    def __init__(
        self,
        *,
        name: str,
        key: Callable[[], SecretStr],
        cluster: Callable[[], str],
        links: Links,
        now: Callable[[], datetime],
        base_url: str = US,
        timeout_seconds: float = 5.0,
        ca_file: Path | None = None,
    ) -> None:
        self.name = name
        self._key = key
        self._cluster = cluster
        self._links = links
        self._now = now
        self._base_url = base_url
        self._timeout = timeout_seconds
        self._ca_file = ca_file
        self._thread = OwnThread(f"driftd-{name}")
        # Half a second of imports that the first page shall not wait for.
        Thread(target=import_module, args=("pagerduty",), name="driftd-pagerduty-import", daemon=True).start()

    async def send(self, step: Step, at: datetime) -> None:
        """One try of one event."""
        del at  # events carry the times of their page
        match step.action:
            case Action.TRIGGER:
                event = trigger_of(step.page, self._cluster(), self._links)
            case Action.RESOLVE:
                event = resolve_of(step.page)
            case Action.CHANGE:
                event = change_of(step.page, self._cluster(), self._links)
        change = step.action is Action.CHANGE
        try:
            await self._thread.run(lambda: self._post(event, change=change), self._timeout * 3)
        except Hanging as error:
            raise NotAccepted(self.name, str(error)) from None

    async def refresh(self, steps: Sequence[Step], at: datetime) -> None:
        """PagerDuty keeps an incident open by itself."""

    async def close(self) -> None:
        self._thread.close()

    # -- in the thread --------------------------------------------------------------------------------------------

    def _post(self, event: dict[str, Any], *, change: bool) -> None:
        from pagerduty import Error  # noqa: PLC0415 - 60 modules that a daemon without a key does without

        try:
            # A client for each try: connections kept over minutes of silence break, and one that hangs is left behind.
            key = self._key()
            with _client(key, self._base_url, self._timeout, self._ca_file) as client:
                if change:
                    client.send_change_event(**event)
                else:
                    client.send_event(event.pop("event_action"), **event)
        except Error as error:
            if error.response is None:
                raise NotAccepted(self.name, f"no answer ({type(error.__cause__).__name__})") from None
            self._judge(error.response, key.get_secret_value())
        except Exception as error:  # noqa: BLE001 - whatever it is, the page is not lost by it, and nothing of it is told
            raise NotAccepted(self.name, f"could not be sent ({type(error).__name__})", _MISCONFIGURED) from None

    def _judge(self, response: "Response", key: str) -> None:
        """An answer that the package calls an error."""
        status = response.status_code
        if response.is_success:
            return  # accepted, in words that the package does not understand
        words = line(response.text.replace(key, "***"), 160)
        if status in _NEVER and "routing" not in words.lower():
            raise Refused(self.name, f"HTTP {status}: {words}") from None
        wish = retry_after(response.headers.get("Retry-After"), self._now())
        ours = 400 <= status < 500 and status not in (408, 429)
        raise NotAccepted(self.name, f"HTTP {status}", _MISCONFIGURED if ours else wish) from None


def pagerduty_trust(ca_file: Path | None) -> ssl.SSLContext:
    """Whose certificates count as PagerDuty's; raises OSError where the file cannot be read."""
    from httpx2 import create_ssl_context  # noqa: PLC0415 - see `_post`

    return create_ssl_context() if ca_file is None else ssl.create_default_context(cafile=ca_file)


def _client(key: SecretStr, base_url: str, timeout: float, ca_file: Path | None) -> "EventsApiV2Client":
    """The package's client, told to try once: 0 means *without limit* for 429 there."""
    from pagerduty import EventsApiV2Client  # noqa: PLC0415 - see `_post`

    client = EventsApiV2Client(key.get_secret_value(), base_url=base_url, verify=pagerduty_trust(ca_file))
    client.timeout = timeout  # type: ignore[assignment]
    client.max_network_attempts = 0
    client.max_http_attempts = -1
    client.retry = dict.fromkeys(_RETRIED_BY_THE_PACKAGE, 1)
    return client
