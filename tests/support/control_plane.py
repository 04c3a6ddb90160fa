"""A shared control plane for tests, and the rule about what may be skipped.

`DRIFTD_REQUIRE` names the capabilities that have to be there, separated by commas: what it names fails when it lacks,
anything else skips.
"""

import asyncio
import os
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, TypeVar

import pytest

T = TypeVar("T")


def required() -> frozenset[str]:
    """The capabilities that this run may not do without."""
    return frozenset(name.strip() for name in os.environ.get("DRIFTD_REQUIRE", "").split(",") if name.strip())


def lacking(capability: str, reason: str) -> NoReturn:
    """Skip for want of a capability, or fail if this run requires it; both name it."""
    message = f"this machine lacks the capability {capability}: {reason}"
    if capability in required():
        pytest.fail(f"DRIFTD_REQUIRE names {capability}, but {message}", pytrace=False)
    pytest.skip(message)


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in a loop and a thread of its own, so that fixtures of any scope need no loop of the tests'."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
