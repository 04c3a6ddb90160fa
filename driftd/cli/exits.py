"""Exit codes every command keeps: scripts and CI depend on them."""

from enum import IntEnum


class Exit(IntEnum):
    """3 beats 1: where something could not be told, "drift" would be half an answer."""

    CLEAN = 0
    DRIFT = 1
    USAGE = 2
    UNKNOWN = 3
