"""What a model would have to say so that a blocked connection passes."""

from collections.abc import Iterator

from driftd.cli.flows.documents import FlowExplanation
from driftd.cli.worlds.ends import Asked
from driftd.cli.worlds.world import World
from driftd.policy.reach import Pod


def remedies(world: World, asked: Asked, answer: FlowExplanation) -> tuple[str, ...]:
    """One sentence for each pair of services that cannot talk; `world` is that of a model alone."""
    found: dict[str, None] = {}
    for pair, entry in zip(asked.pairs, answer.connections, strict=True):
        if entry.answer == "blocked" and isinstance(pair.source, Pod) and isinstance(pair.target, Pod):
            found |= dict.fromkeys(_of_pods(world, pair.source, pair.target))
    return tuple(found)


def _of_pods(world: World, source: Pod, target: Pod) -> Iterator[str]:
    caller = (source.namespace, source.workload)
    if world.tenancy.apart(source.namespace, target.namespace):
        yield "the model lets tenants meet at the gateway (`expose`) and at a SharedService, and nowhere else"
    elif caller in world.services and source.namespace == target.namespace:
        yield f"the model lets it pass if service {source.workload} says `calls: [{{to: {target.workload}}}]`"
    elif caller in world.services:
        yield f"the model lets it pass if service {source.workload} calls an attachment that is {target.workload}"
