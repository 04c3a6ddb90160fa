"""What spans are called and what stands on them: each name once, as docs/telemetry.md lists them."""

from collections.abc import Mapping
from typing import Final

from driftd.drift import shown
from driftd.values import Finding

Attributes = Mapping[str, str | int | float | bool]
"""What stands on a span."""

RECONCILE: Final = "driftd.reconcile"
OBSERVE: Final = "driftd.observe"
PROVE: Final = "driftd.prove"
DIFF: Final = "driftd.diff"
DECIDE: Final = "driftd.decide"
REMEDIATE: Final = "driftd.remediate"
WRITE: Final = "driftd.write"
VERIFY: Final = "driftd.verify"
REPORT: Final = "driftd.report"
RECORD: Final = "driftd.record"
JUDGE: Final = "driftd.judge"
PAGE: Final = "driftd.page"
MODEL_LOAD: Final = "driftd.model.load"
SPANS: Final = (
    RECONCILE, OBSERVE, PROVE, DIFF, DECIDE, REMEDIATE, WRITE, VERIFY, REPORT, RECORD, JUDGE, PAGE, MODEL_LOAD,
)  # fmt: skip

SERVICE: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE: Final = "service.instance.id"
CLUSTER: Final = "k8s.cluster.name"

NAMESPACE: Final = "k8s.namespace.name"
RESOURCE: Final = (SERVICE, SERVICE_VERSION, SERVICE_INSTANCE, CLUSTER, NAMESPACE)
"""What every span says of the process that made it."""

CYCLE: Final = "driftd.cycle.id"
TRIGGER: Final = "driftd.trigger"
OUTCOME: Final = "driftd.outcome"
REVISION: Final = "driftd.model.revision"
DRIFT_COUNT: Final = "driftd.drift.count"
DRIFT_OPEN: Final = "driftd.drift.open"
REPAIRED_COUNT: Final = "driftd.repaired.count"
STAGES_LEFT_OUT: Final = "driftd.stages.left_out"
OBJECTS: Final = "driftd.objects"
KINDS: Final = "driftd.drift.kinds"
WRITES: Final = "driftd.writes"
WAITING: Final = "driftd.waiting"
VERB: Final = "driftd.verb"
RESULT: Final = "driftd.result"
OBJECT_KIND: Final = "driftd.object.kind"
OBJECT_NAME: Final = "driftd.object.name"
VERSION_BEFORE: Final = "driftd.object.resource_version.before"
VERSION_AFTER: Final = "driftd.object.resource_version.after"
FINDING: Final = "driftd.finding.id"
EPOCH: Final = "driftd.epoch"
DIRECTION: Final = "driftd.direction"
SEVERITY: Final = "driftd.severity"
WITNESS: Final = "driftd.witness"
DESTINATION: Final = "driftd.page.destination"
ACTION: Final = "driftd.page.action"
PAGE_CLASS: Final = "driftd.page.class"
URGENCY: Final = "driftd.page.urgency"
ATTRIBUTES: Final = (
    NAMESPACE, CYCLE, TRIGGER, OUTCOME, REVISION, DRIFT_COUNT, DRIFT_OPEN, REPAIRED_COUNT, STAGES_LEFT_OUT, OBJECTS,
    KINDS, WRITES, WAITING, VERB, RESULT, OBJECT_KIND, OBJECT_NAME, VERSION_BEFORE, VERSION_AFTER, FINDING, EPOCH,
    DIRECTION, SEVERITY, WITNESS, DESTINATION, ACTION, PAGE_CLASS, URGENCY,
)  # fmt: skip

_WITNESS_CHARACTERS = 256


def meaning(finding: Finding) -> Attributes:
    """What a finding means, as a page tells it too: its direction, how bad that is, and the flow that shows it."""
    found: dict[str, str | int | float | bool] = {
        DIRECTION: finding.direction.value,
        SEVERITY: finding.severity.value,
    }
    if finding.witness is not None:
        found[WITNESS] = shown(str(finding.witness), _WITNESS_CHARACTERS)
    return found
