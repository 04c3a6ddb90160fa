"""ServiceAccount (v1): whether its pods get a token, and whose object it is.

Absent means yes: a pod mounts the token unless the account or the pod says no (core/v1 types.go). Secrets and image
pull secrets are foreign, and the kind is open: tenants make accounts of their own.
"""

from driftd.policy.kinds.canonical import MalformedObjectError, mapping, strings
from driftd.policy.kinds.kind import Coverage, OpenWorldError, World
from driftd.policy.kinds.whole_spec import as_written, covered_annotations, own_annotations, put
from driftd.values import Body, Resource

_FIELD = "automountServiceAccountToken"


class ServiceAccountKind:
    """The kind as the registry holds it."""

    resource = Resource("", "v1", "ServiceAccount", "serviceaccounts")
    world = World.OPEN
    dialect = ""
    rank = 40
    reads_coverage = False

    def covered(self, body: Body, coverage: Coverage) -> Body:
        del coverage
        metadata = mapping(body.get("metadata"), "metadata")
        mounts = body.get(_FIELD)
        if mounts is not None and type(mounts) is not bool:
            raise MalformedObjectError(_FIELD, "true or false", mounts)
        return {
            "metadata": {"annotations": covered_annotations(metadata.get("annotations"))},
            _FIELD: mounts is not False,
        }

    def keyed(self, covered: Body) -> Body:
        return covered

    def merged(self, live: Body, desired: Body, coverage: Coverage) -> Body:
        wanted = self.covered(desired, coverage)
        body = as_written(live, self.resource)
        metadata = body["metadata"]
        found = strings(metadata.get("annotations"), "metadata.annotations")
        put(metadata, "annotations", own_annotations(found, wanted["metadata"]["annotations"]))
        body[_FIELD] = wanted[_FIELD]
        return body

    def emptied(self, live: Body) -> Body:
        del live
        raise OpenWorldError(self.resource)
