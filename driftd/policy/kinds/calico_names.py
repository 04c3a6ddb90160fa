"""What Calico's objects are called: one group, whichever serves them, and policy names in either spelling.

The API server (or, from 3.32, CRDs of that group) serves projectcalico.org/v3; without it the storage CRDs of
crd.projectcalico.org/v1 are read and written. Objects are known as projectcalico.org's either way.

Up to 3.31 a policy of tier `default` was stored as `default.<name>`, and shown with or without that prefix depending on
the version. So either spelling of a canonical policy is that policy. Both at once are two policies, and Felix enforces
both: then the other spelling is an object too many. Source: `libcalico-go/lib/names`, `policy_name_migrator.go`; issues
projectcalico/calico #9642, #10364, #10389.
"""

from dataclasses import replace

from driftd.values import ObjectRef, Resource

CALICO = "projectcalico.org"
STORAGE = "crd.projectcalico.org"
ALIASES = {STORAGE: CALICO}
"""Groups that serve the kinds of another one a second time."""
_PREFIX = "default."
_POLICIES = frozenset({"NetworkPolicy", "GlobalNetworkPolicy"})


def stored(resource: Resource) -> Resource:
    """One of Calico's kinds as its storage CRDs serve it."""
    return replace(resource, group=STORAGE, version="v1", identity=CALICO)


def other_spelling(ref: ObjectRef) -> ObjectRef | None:
    """The same policy's name with the prefix of tier `default`, or without it; None for all other kinds.

    It counts only for a policy that the model puts into that tier: see `in_default_tier` of the desired spec.
    """
    if ref.group != CALICO or ref.kind not in _POLICIES:
        return None
    plain = ref.name.removeprefix(_PREFIX)
    return ObjectRef(ref.group, ref.kind, ref.namespace, plain if plain != ref.name else _PREFIX + ref.name)


def same_policy(one: ObjectRef, other: ObjectRef) -> bool:
    """Whether two names are one object's: equal, or the two spellings of a policy."""
    return one == other or other_spelling(one) == other
