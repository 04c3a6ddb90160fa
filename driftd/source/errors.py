"""Why a model cannot be read; each says which path, what was expected and what to do."""

from pathlib import Path


class SourceError(Exception):
    """Base of this room's errors: there is no revision now, the one in force stays.

    `commit` names the revision that was refused, where it has a name; `approvable` says that a person may accept it.
    """

    commit = ""
    approvable = False


class SourceUnreadable(SourceError):
    """A path that must be read cannot be: unknown is not the same as gone."""

    def __init__(self, path: str | Path, why: str) -> None:
        super().__init__(f"{path} cannot be read ({why}); make it readable, or remove it on purpose")


class SourceTooLarge(SourceError):
    """The model is bigger than any model should be."""

    def __init__(self, what: str, found: str, limit: str) -> None:
        super().__init__(f"{what}: {found}, the limit is {limit}; split the file, or point driftd at the model alone")


class LinkLeavesTree(SourceError):
    """A symbolic link would make driftd read outside the model."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is a link out of the model directory; put the file itself there")


class SourceUnsettled(SourceError):
    """The tree kept changing while it was read."""

    def __init__(self, root: Path, seconds: float) -> None:
        super().__init__(f"{root} kept changing for {seconds:g} s while it was read; it is read again when it rests")
