"""Comparing resourceVersions: as integers where both are, and only within one kind (KEP-5504); else not at all."""


def number(version: str) -> int | None:
    """The version as a number, None if it is opaque."""
    return int(version) if version.isascii() and version.isdecimal() and len(version) <= 20 else None


def older(left: str, right: str) -> bool:
    """Whether `left` surely comes before `right`. Two versions that cannot be compared: False."""
    a, b = number(left), number(right)
    return a is not None and b is not None and a < b


def passed(seen: str, wanted: str) -> bool:
    """Whether a watch that has reached `seen` has delivered what was written as `wanted`."""
    if not seen:
        return False
    a, b = number(seen), number(wanted)
    return a >= b if a is not None and b is not None else seen == wanted
