"""The composition root: settings into parts, parts into one daemon. Real clocks and real I/O are picked here."""

from driftd.app.daemon import run
from driftd.app.paging import trial_destinations

__all__ = ["run", "trial_destinations"]
