"""Where the model comes from: a directory, and the last good copy on disk."""

from driftd.source.directory import DirectorySource
from driftd.source.errors import LinkLeavesTree, SourceError, SourceTooLarge, SourceUnreadable, SourceUnsettled
from driftd.source.last_good import Kept, LastGood, packed, unpacked
from driftd.source.revision import Limits, Revision, Source, content_name

__all__ = [
    "DirectorySource",
    "Kept",
    "LastGood",
    "Limits",
    "LinkLeavesTree",
    "Revision",
    "Source",
    "SourceError",
    "SourceTooLarge",
    "SourceUnreadable",
    "SourceUnsettled",
    "content_name",
    "packed",
    "unpacked",
]
