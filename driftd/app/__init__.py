"""The composition root: settings into parts, parts into one daemon. Real clocks and real I/O are picked here."""

from driftd.app.daemon import run
from driftd.app.first_reading import first_reading
from driftd.app.paging import trial_destinations

__all__ = ["first_reading", "run", "trial_destinations"]
