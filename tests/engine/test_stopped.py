"""A kind to which the server adds fields is stopped as a whole, told once, and lifted as a whole."""

from driftd.engine.stopped import StoppedKinds
from driftd.telemetry import Metrics
from driftd.values import ObjectRef

QUOTA = ObjectRef("", "ResourceQuota", "acme-prod", "quota")
OTHER = ObjectRef("", "ResourceQuota", "globex-prod", "other")
LIMITS = ObjectRef("", "LimitRange", "acme-prod", "limits")


def test_a_stopped_kind_holds_all_its_objects_and_is_told_once_until_it_is_lifted() -> None:
    told: list[str] = []
    metrics = Metrics()
    kinds = StoppedKinds(metrics, told.append)
    kinds.stop(QUOTA, "added spec.new")
    kinds.stop(OTHER, "added spec.new")
    assert OTHER in kinds
    assert LIMITS not in kinds
    assert [one.ref for one in kinds.all()] == [QUOTA]
    assert metrics.registry.get_sample_value("driftd_kind_stopped", {"kind": "ResourceQuota"}) == 1
    kinds.lift(OTHER)
    assert kinds.all() == ()
    assert metrics.registry.get_sample_value("driftd_kind_stopped", {"kind": "ResourceQuota"}) == 0
    assert told == ["ResourceQuota is not written any more", "ResourceQuota is written again"]


def test_a_kind_remembers_how_often_it_was_stopped() -> None:
    kinds = StoppedKinds(Metrics(), lambda _why: None)
    for _ in range(3):
        kinds.stop(QUOTA, "added spec.new")
        kinds.lift(QUOTA)
    kinds.stop(QUOTA, "added spec.new")
    assert [one.times for one in kinds.all()] == [4]
