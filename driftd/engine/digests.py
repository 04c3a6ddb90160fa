"""Covered digests of live objects under a model's coverage, as the mirror wants them."""

from collections.abc import Callable
from hashlib import blake2b

import orjson

from driftd.policy.kinds import KINDS, Coverage, digest_of
from driftd.values import Body, Digest, Resource


def digests_under(coverage: Coverage) -> Callable[[Resource, Body], Digest]:
    """The digest function of a mirror. Kinds that nobody here understands are digested whole."""

    def digest(resource: Resource, body: Body) -> Digest:
        kind = KINDS.get(resource.key)
        if kind is None:
            return Digest(blake2b(orjson.dumps(body, option=orjson.OPT_SORT_KEYS), digest_size=16).digest())
        return digest_of(kind, body, coverage)

    return digest
