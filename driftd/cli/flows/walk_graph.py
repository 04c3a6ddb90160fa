"""A walk as a Mermaid flowchart: from the source through both directions' rules to the target."""

from collections.abc import Generator, Iterator
from itertools import pairwise
from typing import Final

from driftd.cli.flows.documents import ConnectionEntry, FlowExplanation, SideEntry, StepEntry
from driftd.cli.flows.explained import VERDICTS, kept, outcome, sentence, title, who

_CLASSES: Final = (
    "classDef allow fill:#cfe8f7,stroke:#0072B2,stroke-width:2px,color:#111",
    "classDef deny fill:#fbdfcc,stroke:#D55E00,stroke-width:2px,color:#111",
    "classDef open fill:#fdf3c4,stroke:#8a6d00,stroke-width:2px,color:#111",
    "classDef miss fill:#f4f4f4,stroke:#999,color:#333",
    "classDef note fill:#fff,stroke:#999,stroke-dasharray:4 3,color:#333",
)
_ANSWERS: Final = {"allowed": "allow", "blocked": "deny", "depends": "open"}
_ARROWS: Final = {"allowed": "-->", "blocked": "-. blocked .->", "depends": "-. depends .->"}


def mermaid(document: FlowExplanation) -> str:
    """One flowchart over all connections of an explanation."""
    lines = ["flowchart TB"]
    for index, entry in enumerate(document.connections):
        lines += [f"  {line}" for line in _connection(entry, f"c{index}", document)]
    lines += [f"  {line}" for line in _CLASSES]
    return "\n".join(lines) + "\n"


def _connection(entry: ConnectionEntry, mark: str, document: FlowExplanation) -> Iterator[str]:
    yield f"subgraph {mark}[{_label(title(entry, document.dialect), document.source)}]"
    yield "  direction TB"
    yield f"  {mark}s([{_label(entry.source)}])"
    before = f"{mark}s"
    for side, name in ((entry.egress, "e"), (entry.ingress, "i")):
        ends = yield from _side(side, f"{mark}{name}")
        yield f"  {before} --> {ends[0]}"
        before = ends[1]
    yield f"  {mark}t([{_label(f'{entry.target} {entry.protocol}/{entry.port}: {VERDICTS[entry.answer]}')}])"
    yield f"  {before} {_ARROWS[entry.answer]} {mark}t"
    yield f"  class {mark}t {_ANSWERS[entry.answer]}"
    yield "end"


def _side(side: SideEntry, mark: str) -> Generator[str, None, tuple[str, str]]:
    """The nodes of one direction; returns the first and the last of them."""
    yield f"  subgraph {mark}[{_label(f'{side.direction} of {side.end}: {side.answer}')}]"
    yield "    direction TB"
    nodes: list[str] = []
    for index, step in kept(side, misses=6):
        node = f"{mark}{index}"
        yield f"    {node}[{_label(who(step), outcome(step).upper(), _short(step.why))}]"
        yield f"    class {node} {_class(step)}"
        nodes.append(node)
    skipped = len(side.steps) - len(nodes)
    if skipped:
        yield f"    {mark}x[{_label(f'{skipped} more rules that do not match')}]"
        yield f"    class {mark}x miss"
    if not nodes:
        yield f"    {mark}n[{_label('no policy applies: everything passes')}]"
        yield f"    class {mark}n allow"
        nodes.append(f"{mark}n")
    for one, other in pairwise(nodes):
        yield f"    {one} --> {other}"
    if side.counterfactual and side.steps:
        yield f"    {mark}w>{_label(sentence(side.counterfactual))}]"
        yield f"    class {mark}w note"
        yield f"    {nodes[-1]} -.- {mark}w"
    yield "  end"
    return nodes[0], nodes[-1]


def _class(step: StepEntry) -> str:
    if step.matched == "no":
        return "miss"
    if step.matched == "perhaps":
        return "open"
    return {"allow": "allow", "deny": "deny", "pass": "open"}[step.action]


def _short(text: str, most: int = 90) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _label(*parts: str) -> str:
    """A quoted label of several lines; whatever Mermaid or HTML would act upon is written as an entity."""
    return f'"{"<br/>".join(map(_escaped, parts))}"'


def _escaped(text: str) -> str:
    return "".join(one if one.isalnum() or one in " -_./,:=()*" else f"#{ord(one)};" for one in text)
