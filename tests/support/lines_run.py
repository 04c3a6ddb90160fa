"""How much Python runs, told without a clock: for what must not grow with what stands."""

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def lines_run(work: Callable[[], object]) -> int:
    """Lines of Python that `work` runs. What is done once in a process counts as well: let it be over before."""
    count = 0

    def tracer(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return tracer

    before = sys.gettrace()
    gc.disable()  # what other tests have left is not to be taken away, line by line, in the middle of this
    sys.settrace(tracer)
    try:
        work()
    finally:
        sys.settrace(before)
        gc.enable()
    return count
