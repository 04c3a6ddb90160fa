"""An object that somebody filled up with annotations can still be written."""

from driftd.cluster.writer import _fitting
from driftd.values import CONDEMNED, EPOCH, PROVENANCE, ObjectRef

REF = ObjectRef("networking.k8s.io", "NetworkPolicy", "acme-prod", "debug")
OURS = {PROVENANCE: "environments/acme.yaml#Environment/acme-prod", EPOCH: "7", CONDEMNED: "7"}


def size(annotations: dict[str, str]) -> int:
    return sum(len(key) + len(value) for key, value in annotations.items())


def test_annotations_within_the_limit_are_carried_over_untouched() -> None:
    annotations = {**OURS, "note": "x" * 200_000}
    assert _fitting(REF, annotations) == annotations


def test_the_largest_foreign_annotations_go_until_ours_fit() -> None:
    kept = _fitting(REF, {**OURS, "small": "x" * 1_000, "huge": "x" * 262_000, "driftd.dev/forged": "x" * 2_000})
    assert OURS.items() <= kept.items()
    assert "huge" not in kept
    assert "small" in kept
    assert size(kept) <= 256 * 1024


def test_our_own_names_do_not_shelter_anything() -> None:
    kept = _fitting(REF, {**OURS, "driftd.dev/forged": "x" * 262_144})
    assert kept == OURS
