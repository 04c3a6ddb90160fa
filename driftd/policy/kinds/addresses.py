"""Address ranges in one spelling: host bits off, IPv6 compressed and lower case.

What the parser does not know for a range stays as it was written: two spellings that we cannot prove equal are a
difference, and the reader sees the original text.
"""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

_LONGEST = 49
"""`ffff:…:255.255.255.255/128`, the longest spelling the API server accepts without a zone."""


@lru_cache(maxsize=16384)
def _normal(text: str) -> str:
    address, slash, prefix = text.partition("/")
    if not slash or "%" in address or not (prefix.isascii() and prefix.isdigit()) or prefix != str(int(prefix)):
        return text
    try:
        network = IPv6Network(text, strict=False) if ":" in address else IPv4Network(text, strict=False)
    except ValueError:
        return text
    return str(network)


def cidr(value: object) -> object:
    """`10.1.2.3/8` as `10.0.0.0/8`; anything that is no range unchanged (network-policy.md 1.1)."""
    if type(value) is not str or len(value) > _LONGEST:
        return value
    return _normal(value)
