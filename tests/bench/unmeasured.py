"""`python -m tests.bench.unmeasured run`: driftd without metrics, but for the count of cycles that tells a pass."""

from typing import Any, Self

from prometheus_client import Counter

from driftd.cli import main
from driftd.telemetry import metrics

RUN = ("-m", "tests.bench.unmeasured", "run")
_KEPT = "driftd_cycles"


class Nothing:
    """A metric of any type that keeps nothing."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def labels(self, *_: str) -> Self:
        return self

    def inc(self, _: float = 1) -> None: ...

    def set(self, _: float) -> None: ...

    def observe(self, _: float, __: object = None) -> None: ...

    def remove(self, *_: str) -> None: ...

    def clear(self) -> None: ...


def unmeasured() -> None:
    """From here on this process makes no metric but that count."""
    vars(metrics).update(Counter=_counter, Gauge=Nothing, Histogram=Nothing)


def _counter(name: str, *rest: Any, **more: Any) -> Counter | Nothing:
    return Counter(name, *rest, **more) if name == _KEPT else Nothing()


if __name__ == "__main__":
    unmeasured()
    main()
