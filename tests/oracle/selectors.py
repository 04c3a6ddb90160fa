"""Kubernetes label selectors, as the API reference words them."""

from collections.abc import Mapping

from tests.oracle.bodies import Body, listed


class NotAcceptedError(ValueError):
    """An object that the API server would have refused: the oracle has no meaning for it."""


def matches(selector: Body | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector matches. An empty (or, where the caller says so, missing) selector matches everything."""
    selector = selector or {}
    # matchLabels: each pair must be there; all requirements of both lists are ANDed.
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(_meets(requirement, labels) for requirement in listed(selector.get("matchExpressions")))


def _meets(requirement: Body, labels: Mapping[str, str]) -> bool:
    key, operator, values = requirement["key"], requirement["operator"], listed(requirement.get("values"))
    if operator == "In":
        # The key must be there with one of the values; at least one value must be given.
        if not values:
            raise NotAcceptedError(f"In on {key} without values")
        return key in labels and labels[key] in values
    if operator == "NotIn":
        # The key is missing, or has another value.
        if not values:
            raise NotAcceptedError(f"NotIn on {key} without values")
        return key not in labels or labels[key] not in values
    if values:
        raise NotAcceptedError(f"{operator} on {key} with values")
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    raise NotAcceptedError(f"operator {operator} on {key}")
