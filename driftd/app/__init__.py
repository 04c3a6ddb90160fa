"""The composition root: settings into parts, parts into one daemon. Real clocks and real I/O are picked here."""

from driftd.app.daemon import run

__all__ = ["run"]
