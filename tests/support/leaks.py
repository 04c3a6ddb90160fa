"""Planted secrets, looked for in every form in which they travel."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus


@dataclass(frozen=True)
class Planted:
    """Secrets by what they are; `in_` names those that a text holds."""

    secrets: Mapping[str, str]

    def in_(self, text: str | bytes) -> list[str]:
        content = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        return [name for name, secret in self.secrets.items() if any(form in content for form in forms(secret))]

    def leaks(self, places: Iterable[tuple[str, str | bytes]]) -> list[str]:
        """Which secret stands in which place."""
        return [f"{name} in {place}" for place, text in places for name in self.in_(text)]


def forms(secret: str) -> Iterator[bytes]:
    """As it is, escaped for a URL and for JSON, and inside of base64, whatever stands before it."""
    yield secret.encode()
    for safe in ("", "/", "/:", ":", "@:"):
        yield quote(secret, safe=safe).encode()
    yield quote_plus(secret).encode()
    yield json.dumps(secret)[1:-1].encode()
    for before in range(3):
        # The first and the last characters of a piece depend on its neighbours; what lies between does not.
        encoded = base64.b64encode(b"x" * before + secret.encode())
        yield encoded[4 if before else 0 : -4]
        yield encoded[4 if before else 0 : -4].replace(b"+", b"-").replace(b"/", b"_")
