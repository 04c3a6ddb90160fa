"""The tiers that exist without anybody making them, and which one a policy stands in."""

from collections.abc import Mapping
from functools import lru_cache
from math import inf
from types import MappingProxyType
from typing import Final

from driftd.policy.reach.dialects import Dialect
from driftd.policy.reach.policies import Action, Tier
from driftd.policy.reach.ports import ALL, NONE, PORTED

ADMIN: Final = "kube-admin"
DEFAULT: Final = "default"
BASELINE: Final = "kube-baseline"
OPAQUE_TIER: Final = "(not understood)"


@lru_cache(maxsize=8)
def built_in(dialect: Dialect) -> Mapping[str, Tier]:
    """The admin tier, the tier of NetworkPolicy, and the baseline tier, by name.

    Names, orders and default actions are Calico's (`api/pkg/apis/projectcalico/v3/tier.go`), which give the
    network-policy-api's own sequence: Admin, NetworkPolicy, Baseline, allow.
    """
    undefined = ALL - PORTED if dialect.reading.undefined_protocols else NONE
    return MappingProxyType(
        {
            ADMIN: Tier(1_000, ADMIN, Action.PASS),
            DEFAULT: Tier(1_000_000, DEFAULT, Action.DENY, open_ports=undefined),
            BASELINE: Tier(10_000_000, BASELINE, Action.PASS),
            OPAQUE_TIER: Tier(-inf, OPAQUE_TIER, Action.PASS),
        }
    )


def tier_named(name: str, known: Mapping[str, Tier], dialect: Dialect) -> Tier:
    """The tier of that name. One that nobody defined stands last, and whether it is walked is not certain."""
    found = known.get(name) or built_in(dialect).get(name)
    return found if found is not None else Tier(inf, name, Action.DENY, certain=False)
