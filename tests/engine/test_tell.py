"""Events tell a namespace's people what was done, why and how to ask for something else."""

from driftd.engine.tell import notice_of
from driftd.values import Condemn, Create, Delete, ObjectRef, Replace

REF = ObjectRef("networking.k8s.io", "NetworkPolicy", "acme-prod", "debug")
REASON = "empty NetworkPolicy acme-prod/debug and mark it for deletion: the model does not have it"


def test_a_removed_object_says_how_to_keep_one() -> None:
    notice = notice_of(Condemn(REF, {}, "u", "1", "f", REASON), None)
    assert notice is not None
    assert notice.reason == "Removed"
    assert REASON in notice.note
    assert "Exemption" in notice.note


def test_a_repair_names_the_model() -> None:
    notice = notice_of(Replace(REF, {}, "u", "1", "f", "put it back to environments/acme.yaml:4"), None)
    assert notice is not None
    assert "environments/acme.yaml:4" in notice.note
    assert "change the model" in notice.note


def test_steps_on_the_way_and_the_second_half_of_a_deletion_are_not_told() -> None:
    assert notice_of(Replace(REF, {}, "u", "1", "f", "cut", interim=True), None) is None
    assert notice_of(Create(REF, {}, "f", "without rules", interim=True), None) is None
    assert notice_of(Delete(REF, "u", "1", "f", "delete"), None) is None
