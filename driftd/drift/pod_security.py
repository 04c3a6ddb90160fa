"""What a lowered Pod Security level means for isolation.

Source: Pod Security Standards. `privileged` allows hostNetwork, and a pod in the host's network is outside of what
policies select; `baseline` and `restricted` both forbid it in every version. A version pin other than the model's may
mean older rules.
"""

from driftd.drift.meaning import Judgement
from driftd.values import Body, Direction

ENFORCE = "pod-security.kubernetes.io/enforce"
VERSION = f"{ENFORCE}-version"
_LEVELS = ("privileged", "baseline", "restricted")


def lowered(desired: Body, live: Body) -> Judgement | None:
    """The judgement of a Namespace whose enforced level, or its version, is not the model's; None where neither sinks.

    Which of two versions forbids more is not looked up.
    """
    wanted, now = _level(desired), _level(live)
    if now >= wanted and (wanted == 0 or _version(live) == _version(desired)):
        return None
    # Out of the host's network everybody can be reached, whatever any policy says.
    return Judgement(Direction.LOOSENS, crosses_tenant=None if now == 0 else False)


def _level(namespace: Body) -> int:
    """The level's rank; no label, or one the API server does not know, enforces nothing."""
    label = (namespace["metadata"].get("labels") or {}).get(ENFORCE, "privileged")
    return _LEVELS.index(label) if label in _LEVELS else 0


def _version(namespace: Body) -> str:
    """The version whose rules are enforced; no label means the newest."""
    return str((namespace["metadata"].get("labels") or {}).get(VERSION, "latest"))
