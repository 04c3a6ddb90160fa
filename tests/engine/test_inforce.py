"""What the model in force says of objects and scopes."""

import pytest

from driftd.engine.inforce import InForce, is_spare
from driftd.values import ObjectRef
from tests.support.drift_scope import HOME, NAME, compiled_of, governed_of, namespace, policy_ref, service_account

NAMED = ObjectRef("", "ServiceAccount", NAME, "web")
NOT_NAMED = ObjectRef("", "ServiceAccount", NAME, "of-the-tenant")
ELSEWHERE = ObjectRef("", "ServiceAccount", "nobody-governs-it", "web")
GOVERNED = governed_of([namespace(), service_account("web")])
MODEL = InForce(compiled_of(GOVERNED), "c1")
HELD = InForce(compiled_of(), "c2", orphaned={NAME: GOVERNED})


def test_a_service_account_that_the_model_does_not_name_is_spare() -> None:
    assert is_spare(NOT_NAMED, MODEL)
    assert is_spare(ELSEWHERE, MODEL)
    assert not is_spare(NAMED, MODEL)


def test_a_namespace_that_is_held_although_the_model_has_it_no_more_needs_what_it_was_held_at() -> None:
    assert not is_spare(NAMED, HELD)
    assert is_spare(NOT_NAMED, HELD)


def test_before_there_is_a_model_every_service_account_is_spare_and_no_policy() -> None:
    assert is_spare(NAMED, None)
    assert not is_spare(policy_ref("allow-all"), None)


@pytest.mark.parametrize(
    "ref",
    [
        pytest.param(policy_ref("allow-all"), id="of a closed kind, where one too many opens the namespace"),
        pytest.param(HOME, id="a governed Namespace"),
        pytest.param(ObjectRef("", "Namespace", "", "nobody-governs-it"), id="any other: its labels are selected by"),
        pytest.param(ObjectRef("cilium.io", "CiliumNetworkPolicy", NAME, "x"), id="of a kind that is not governed"),
    ],
)
def test_what_else_the_model_does_not_name_is_needed(ref: ObjectRef) -> None:
    assert not is_spare(ref, MODEL)
