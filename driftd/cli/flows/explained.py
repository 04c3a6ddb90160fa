"""Explanations as documents and as text: the verdict, then per direction the walk and what would change it."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from driftd.cli.flows.documents import Answered, ConnectionEntry, FlowExplanation, SideEntry, StepEntry
from driftd.cli.flows.words import rule_words
from driftd.cli.worlds.ends import Asked
from driftd.cli.worlds.world import World
from driftd.documents import GapEntry, object_name
from driftd.policy.reach import Answer, Explanation, Side, Step, explain

_ANSWERS: Final[dict[Answer, Answered]] = {Answer.YES: "allowed", Answer.NO: "blocked", Answer.MAYBE: "depends"}
_MATCHES: Final[dict[Answer, Literal["yes", "perhaps", "no"]]] = {
    Answer.YES: "yes",
    Answer.NO: "no",
    Answer.MAYBE: "perhaps",
}
_MISSES: Final = 8
"""Rules that missed, of one direction, that the text tells; the rest is counted. Documents hold all of them."""
STYLES: Final = {"allowed": "green", "blocked": "red", "depends": "yellow"}
VERDICTS: Final = {"allowed": "is allowed", "blocked": "is blocked", "depends": "may pass: it depends"}


def explanation_document(world: World, asked: Asked) -> FlowExplanation:
    """Every connection that was asked about."""
    connections = tuple(
        connection_entry(
            explain(world.snapshot, pair.source, pair.target, pair.connection, through_service=pair.through_service),
            world,
        )
        for pair in asked.pairs
    )
    return FlowExplanation(
        source=world.source,
        dialect=world.dialect,
        connections=connections,
        unread=tuple(GapEntry(where=one.where, why=one.why) for one in world.unread),
        notes=(*asked.remarks, *world.snapshot.notes(), *world.remarks),
    )


def connection_entry(found: Explanation, world: World) -> ConnectionEntry:
    """One connection."""
    return ConnectionEntry(
        source=found.source,
        target=found.target,
        protocol=found.connection.protocol,
        port=found.connection.port,
        answer=_ANSWERS[found.allowed],
        egress=_side(found.egress, world),
        ingress=_side(found.ingress, world),
        caveats=found.caveats,
    )


def _side(side: Side, world: World) -> SideEntry:
    decided = None if side.decided_by is None else max(i for i, one in enumerate(side.steps) if one is side.decided_by)
    return SideEntry(
        direction="ingress" if side.flow == "ingress" else "egress",
        end=side.end,
        answer=_ANSWERS[side.allowed],
        steps=tuple(_step(one, world) for one in side.steps),
        decided_by=decided,
        counterfactual=side.counterfactual,
    )


def _step(step: Step, world: World) -> StepEntry:
    return StepEntry(
        tier=step.tier,
        policy=None if step.policy is None else object_name(step.policy),
        rule=step.rule,
        place="" if step.policy is None else world.places.get(step.policy, ""),
        action=step.action.value,
        matched=_MATCHES[step.matched],
        why=step.why,
    )


def title(entry: ConnectionEntry, dialect: str) -> str:
    """The verdict in one line, with the dialect it holds for."""
    flow = f"{entry.source} -> {entry.target} {entry.protocol}/{entry.port}"
    return f"{flow} {VERDICTS[entry.answer]} (dialect {dialect})"


def who(step: StepEntry) -> str:
    """Which rule a step is about."""
    if step.policy is None:
        return f"end of tier {step.tier}"
    where = f"{step.policy.namespace}/" if step.policy.namespace else ""
    return f"{step.policy.kind} {where}{step.policy.name}, {rule_words(step.rule)}"


def outcome(step: StepEntry) -> str:
    """What a step did."""
    return {"yes": step.action, "perhaps": f"perhaps {step.action}", "no": "no match"}[step.matched]


def text_lines(document: FlowExplanation) -> list[tuple[str, str]]:
    """Lines with a style each."""
    found: list[tuple[str, str]] = []
    for entry in document.connections:
        if found:
            found.append(("", ""))
        found.append((title(entry, document.dialect), f"bold {STYLES[entry.answer]}"))
        for side in (entry.egress, entry.ingress):
            found.extend(_side_lines(side))
        found.extend((f"  {caveat}", "dim") for caveat in entry.caveats)
    return found


def _side_lines(side: SideEntry) -> Iterable[tuple[str, str]]:
    word = {"allowed": "allowed", "blocked": "blocked", "depends": "depends"}[side.answer]
    yield f"  {side.direction} of {side.end}: {word}", STYLES[side.answer]
    shown = kept(side)
    skipped = len(side.steps) - len(shown)
    for index, step in shown:
        mark = ">" if index == side.decided_by else " "
        place = f"  [{step.place}]" if step.place and step.matched != "no" else ""
        style = "bold" if index == side.decided_by else "dim" if step.matched == "no" else ""
        yield f"   {mark} {who(step)}: {outcome(step)}; {step.why}{place}", style
    if skipped:
        yield f"     and {skipped} more rules that do not match", "dim"
    if side.counterfactual:
        yield f"     {sentence(side.counterfactual)}", "italic"


def sentence(counterfactual: str) -> str:
    """The counterfactual with rules as people count them."""
    return rule_words(counterfactual)


def kept(side: SideEntry, misses: int = _MISSES) -> Sequence[tuple[int, StepEntry]]:
    """The steps to show: all that matched, and the first of those that did not."""
    found: list[tuple[int, StepEntry]] = []
    missed = 0
    for index, step in enumerate(side.steps):
        if step.matched == "no":
            missed += 1
            if missed > misses:
                continue
        found.append((index, step))
    return found
