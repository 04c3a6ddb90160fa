"""Leaving out what a library would load for features that nobody uses here."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without(module: str) -> Iterator[None]:
    """In the block that module cannot be imported, unless it has been already; afterwards it can."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # how the import system is told; importlib reference, 5.3.1
    try:
        yield
    finally:
        del sys.modules[module]
