"""One trace a cycle: its stages are timed for next to nothing, and become spans only when the cycle is worth keeping.

Nothing here imports OpenTelemetry: a daemon without a collector does not pay for it. `otlp` holds that side.
"""

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Protocol, Self

import structlog

from driftd.telemetry.names import OUTCOME, STAGES_LEFT_OUT, Attributes

_TRACE: ContextVar[str] = ContextVar("driftd_trace", default="")

MOST_STAGES = 512
"""A cycle with thousands of repairs must not make a trace that no backend takes; what is beyond is counted."""

MOST_ROOTS = 1000
"""Kept traces that later parts and links may still name by their id; each takes some 600 bytes."""


def current_trace_id() -> str:
    """The W3C trace id (32 hex digits) of the kept trace that this task works in; empty where there is none."""
    return _TRACE.get()


class Span(Protocol):
    """One span that was sent on its way."""

    @property
    def trace_id(self) -> str:
        """32 hex digits."""

    @property
    def span_id(self) -> str:
        """16 hex digits."""

    def end(self, end_ns: int, attributes: Attributes, error: str) -> None:
        """Close it; `error`, where there is one, marks it as a failure of driftd."""


class Recorder(Protocol):
    """Where spans go. Neither method blocks."""

    def start(self, name: str, start_ns: int, parent: Span | None, links: Sequence[Span]) -> Span:
        """Begin a span; without a parent it is the root of a new trace."""

    def keeps_uneventful(self) -> bool:
        """Whether this one of many cycles in which nothing happened is kept as a sample."""

    def of_cluster(self, name: str) -> None:
        """From here on spans say that they are of this cluster."""


class Traces:
    """Where traces begin; without a recorder everything is accepted and nothing is kept."""

    def __init__(self, recorder: Recorder | None = None) -> None:
        self.recorder = recorder
        self._roots: OrderedDict[str, Span] = OrderedDict()

    def begin(self, name: str, attributes: Attributes, *, links: Sequence[str] = ()) -> "Trace":
        """A trace that starts now. `links` are ids of traces that led to it; those that are not known do not count."""
        return Trace(self, name, attributes, links)

    def late(self, trace_id: str, name: str, start_ns: int, attributes: Attributes) -> None:
        """A part of a trace, which may have ended: begun at `start_ns`, over now.

        Nothing is made of it where no trace of this id was kept, or a thousand others since.
        """
        root = self._roots.get(trace_id)
        if self.recorder is not None and root is not None:
            self.recorder.start(name, start_ns, root, ()).end(time.time_ns(), attributes, "")

    def of_cluster(self, name: str) -> None:
        """From here on traces say that they are of this cluster."""
        if self.recorder is not None:
            self.recorder.of_cluster(name)

    def roots(self, ids: Sequence[str]) -> list[Span]:
        """The roots of those of these traces that are known."""
        return [self._roots[one] for one in ids if one in self._roots]

    def remember(self, root: Span) -> None:
        """A trace is kept: its id may be named."""
        self._roots[root.trace_id] = root
        if len(self._roots) > MOST_ROOTS:
            self._roots.popitem(last=False)


class Stage:
    """One timed part of a trace, used as a context manager; an exception that leaves it marks it as failed."""

    __slots__ = ("_attributes", "_trace", "end_ns", "error", "name", "parent", "span", "start_ns")

    def __init__(self, trace: "Trace", name: str, attributes: Attributes) -> None:
        self._trace = trace
        self._attributes = attributes
        self.name = name
        self.parent: Stage | None = None
        self.start_ns = self.end_ns = 0
        self.error = ""
        self.span: Span | None = None

    def note(self, attributes: Attributes) -> None:
        """Add what has become known."""
        self._attributes = {**self._attributes, **attributes}

    def __enter__(self) -> Self:
        self._trace.enter(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is not None:
            self.error = kind.__name__  # never its text, which may hold what an object says
        self._trace.leave(self)

    def finish(self) -> None:
        """Close the span, where both there are: a span, and an end."""
        if self.span is not None and self.end_ns:
            self.span.end(self.end_ns, self._attributes, self.error)


class Trace:
    """A cycle under way. Until `keep` it is a list of stages with their times; from then on these are spans.

    Finding drift is an outcome and no error: only driftd's own failures mark a span as failed.
    """

    __slots__ = (
        "_attributes", "_left_out", "_links", "_name", "_open", "_recorder", "_stages", "_start_ns", "_traces", "root",
    )  # fmt: skip

    def __init__(self, traces: Traces, name: str, attributes: Attributes, links: Sequence[str] = ()) -> None:
        self._traces = traces
        self._recorder = traces.recorder
        self._name = name
        self._attributes = dict(attributes)
        self._links = links
        self._start_ns = time.time_ns()
        self._stages: list[Stage] = []
        self._open: list[Stage] = []
        self._left_out = 0
        self.root: Span | None = None

    @property
    def id(self) -> str:
        """The W3C trace id, empty while the trace is not kept."""
        return self.root.trace_id if self.root else ""

    def note(self, attributes: Attributes) -> None:
        """Add to the root span what has become known."""
        self._attributes.update(attributes)

    def stage(self, name: str, attributes: Attributes | None = None) -> Stage:
        """A part of the trace, inside the innermost that is open."""
        return Stage(self, name, attributes or {})

    def late(self, name: str, start_ns: int, attributes: Attributes) -> None:
        """A part that began at `start_ns`, ends now, and may come after the trace's own end."""
        if self._recorder is not None and self.root is not None:
            self._recorder.start(name, start_ns, self.root, ()).end(time.time_ns(), attributes, "")

    @contextmanager
    def resumed(self) -> Iterator[None]:
        """What is done in here came of this trace after its end: its logs and records carry the id as well."""
        if self.root is None:
            yield
            return
        token = _TRACE.set(self.root.trace_id)
        try:
            with structlog.contextvars.bound_contextvars(trace_id=self.root.trace_id):
                yield
        finally:
            _TRACE.reset(token)

    def keep(self) -> None:
        """This trace matters: from here on the logs and records of this task carry its id."""
        if self._recorder is None or self.root is not None:
            return
        self.root = self._recorder.start(self._name, self._start_ns, None, self._traces.roots(self._links))
        self._traces.remember(self.root)
        _TRACE.set(self.root.trace_id)
        structlog.contextvars.bind_contextvars(trace_id=self.root.trace_id, span_id=self.root.span_id)
        for stage in self._stages:
            self._make(stage)

    def end(self, outcome: str, *, eventful: bool, failed: str = "") -> None:
        """Close the trace; it is kept if something happened, or as a sample."""
        if self._recorder is None:
            return
        if self.root is None and (eventful or failed or self._recorder.keeps_uneventful()):
            self.keep()
        if self.root is None:
            return
        self._attributes[OUTCOME] = outcome
        if self._left_out:
            self._attributes[STAGES_LEFT_OUT] = self._left_out
        self.root.end(time.time_ns(), self._attributes, failed)
        _TRACE.set("")
        structlog.contextvars.unbind_contextvars("trace_id", "span_id")

    def enter(self, stage: Stage) -> None:
        """A stage begins."""
        if self._recorder is None:
            return
        stage.start_ns = time.time_ns()
        if len(self._stages) >= MOST_STAGES:
            self._left_out += 1
            return
        stage.parent = self._open[-1] if self._open else None
        self._stages.append(stage)
        self._open.append(stage)
        if self.root is not None:
            self._make(stage)

    def leave(self, stage: Stage) -> None:
        """A stage ends."""
        if stage in self._open:
            self._open.remove(stage)
            stage.end_ns = time.time_ns()
            stage.finish()

    def _make(self, stage: Stage) -> None:
        assert self._recorder is not None  # noqa: S101 - a trace without a recorder is never kept
        parent = stage.parent.span if stage.parent else self.root
        stage.span = self._recorder.start(stage.name, stage.start_ns, parent, ())
        stage.finish()
