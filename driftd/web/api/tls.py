"""A TLS context whose certificate may change while it serves.

A front context hands every handshake to the newest whole one: loading a half-written pair into a live context would
break every later handshake.
"""

import ssl
from collections.abc import Callable
from pathlib import Path

import structlog

_log = structlog.get_logger()
_LOOK_SECONDS = 10.0


class ReloadingContext:
    """Certificate and key from files that may be replaced; what cannot be loaded leaves the former pair in use."""

    def __init__(self, certificate: Path, key: Path, monotonic: Callable[[], float]) -> None:
        self._files = certificate, key
        self._monotonic = monotonic
        self._stamps = self._look()
        self._looked = monotonic()
        self._current = self._loaded()
        self.front = self._loaded()
        self.front.sni_callback = self._hand_over  # also called where the client names no server

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*self._files)
        return context

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _front: ssl.SSLContext) -> None:
        if self._monotonic() - self._looked >= _LOOK_SECONDS:
            self._looked = self._monotonic()
            self._refresh()
        connection.context = self._current

    def _refresh(self) -> None:
        try:
            stamps = self._look()
            if stamps != self._stamps:
                self._current, self._stamps = self._loaded(), stamps
                _log.info("api.certificate.renewed")
        except OSError as error:  # ssl.SSLError is one
            _log.error("api.certificate.unusable", why=type(error).__name__, files=[str(one) for one in self._files])

    def _look(self) -> tuple[tuple[int, int], ...]:
        return tuple((one.stat().st_mtime_ns, one.stat().st_ino) for one in self._files)
