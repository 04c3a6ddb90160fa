"""A branch of a git repository as the model's source: fetched bounded, moved forward only, signed where asked.

Imported by whoever wires a git source, not by `driftd.source` itself: a daemon that reads a directory loads no dulwich.
"""

from driftd.source.git.address import Address, AddressUnusable
from driftd.source.git.errors import (
    CommitNotSigned,
    GitDenied,
    GitMissing,
    GitTooSlow,
    GitUnreachable,
    HistoryRewritten,
    HostKeyUnknown,
    LargeFileElsewhere,
    PackBroken,
    SignersUnusable,
    SubmoduleInModel,
    TooMuchToFetch,
)
from driftd.source.git.pack import Caps
from driftd.source.git.repository import Login, Repository
from driftd.source.git.source import GitSource

__all__ = [
    "Address",
    "AddressUnusable",
    "Caps",
    "CommitNotSigned",
    "GitDenied",
    "GitMissing",
    "GitSource",
    "GitTooSlow",
    "GitUnreachable",
    "HistoryRewritten",
    "HostKeyUnknown",
    "LargeFileElsewhere",
    "Login",
    "PackBroken",
    "Repository",
    "SignersUnusable",
    "SubmoduleInModel",
    "TooMuchToFetch",
]
