"""Spans kept in memory, for tests that need no collector; only names that `driftd.telemetry.names` has are taken."""

from collections.abc import Sequence

from driftd.telemetry import Attributes, Span, names


class Made:
    """A span in memory."""

    def __init__(self, name: str, number: int, parent: Span | None, links: Sequence[Span]) -> None:
        self.name = name
        self.trace_id = parent.trace_id if parent else f"{number:032x}"
        self.span_id = f"{number:016x}"
        self.parent = parent
        self.links = links
        self.attributes: Attributes = {}
        self.error = ""
        self.ended = 0

    def end(self, end_ns: int, attributes: Attributes, error: str) -> None:
        assert attributes.keys() <= set(names.ATTRIBUTES), attributes
        self.ended, self.attributes, self.error = end_ns, dict(attributes), error


class InMemory:
    """A recorder that keeps what it is given."""

    def __init__(self, sample: bool = False) -> None:
        self.made: list[Made] = []
        self.sample = sample
        self.cluster = ""

    def start(self, name: str, start_ns: int, parent: Span | None, links: Sequence[Span]) -> Span:
        assert name in names.SPANS, name
        self.made.append(Made(name, len(self.made) + 1, parent, links))
        return self.made[-1]

    def keeps_uneventful(self) -> bool:
        return self.sample

    def of_cluster(self, name: str) -> None:
        self.cluster = name
