"""What the differences of a comparison mean: judged together, in the world that the daemon judges with."""

from collections.abc import Mapping, Sequence
from typing import Final

from driftd.cli.live import LiveState
from driftd.compile import Compiled
from driftd.drift import AdminPolicies, Difference, Judgement, World, bears_flows, home_inputs, judgeable
from driftd.policy.kinds import EVALUATED_NAMES
from driftd.policy.reach import Dialect
from driftd.values import FindingType, ObjectRef

MOST: Final = 200
"""Differences of objects that decide flows that are judged: each is held against all others, which in a model of 10,000
policies takes some 40 ms. The rest stays UNKNOWN."""


def meanings(
    compiled: Compiled, differences: Sequence[Difference], live: LiveState, most: int = MOST
) -> Mapping[ObjectRef, Judgement]:
    """What each difference does, alone and with the others, in the presence of the live admin policies.

    Those that are left out are not known.

    Left out is what costs too much, what no policy of its kind can be shaped like, and of very many the last: objects
    that are missing come after those that are there. No live pods are looked at: what is known of pods is the model.
    """
    readable = [one for one in differences if judgeable(one, Dialect(compiled.dialect))]
    readable.sort(key=lambda one: one.type is FindingType.MISSING)
    deciding = [one for one in readable if _decides_flows(one.ref)]
    others = [one for one in readable if not _decides_flows(one.ref)]
    if not readable:
        return {}
    world = World(compiled)
    world.admit(AdminPolicies({one.ref: one for one in live.evaluated}, EVALUATED_NAMES.isdisjoint(live.blind)))
    world.observe(list(home_inputs(compiled, live.objects, live.objects, world.admin_keys, world.homes)))
    return world.judge([*deciding[:most], *others])


def _decides_flows(ref: ObjectRef) -> bool:
    return bears_flows(ref) or ref.kind == "Namespace"
