"""Addresses without the secrets in them: what may be logged, audited, paged or answered."""

import re

_LOGIN = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^\s'\"<>]*@")
"""All up to the last @ of the word: a password may hold an @ or a slash that nobody escaped."""


def redacted(text: str) -> str:
    """The text with the user and password of every URL in it replaced by stars; all else stays."""
    return _LOGIN.sub(lambda found: f"{found['scheme']}***@", text)
