"""What a new model opens against the old one, counted by object."""

from functools import cache

import pytest

from driftd.compile import Compiled, compile_model
from driftd.drift import guard, loosened
from tests.support.model_texts import model

PLAN = "apiVersion: driftd.dev/v1alpha1\nkind: Plan\nmetadata: {name: shared}\n"
SHOP = """\
apiVersion: driftd.dev/v1alpha1
kind: Environment
metadata: {name: shop}
spec:
  tenant: acme
  plan: shared
  services:
    web: {labels: {app: web}, ports: {http: 8080}, calls: [CALLS]}
    api: {labels: {app: api}, ports: {http: 8080}}
"""


@cache
def compiled(calls: str = "", spec: str = "", further: str = "", shops: int = 1) -> Compiled:
    text = SHOP.replace("CALLS", calls) + further
    shop = {f"shop{n}": text.replace("name: shop", f"name: shop-{n}") for n in range(shops)}
    return compile_model(model(plan=PLAN + spec, **shop))


CALL = "{to: api, port: http}"


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        (compiled(), compiled(), 0),
        (compiled(), compiled(CALL), 2),  # egress of the one and ingress of the other: only both together open
        (compiled(CALL), compiled(), 0),
        (compiled(), compiled(spec="spec: {egress: {https: public}}\n"), 2),
        (compiled(spec="spec: {egress: {https: public}}\n"), compiled(), 0),
        (compiled(), compiled(spec="spec: {podSecurity: privileged}\n"), 1),
        (compiled(), compiled(shops=3), 0),
        (compiled(shops=3), compiled(shops=2), 0),
    ],
)
def test_objects_that_open_something_are_counted(before: Compiled, after: Compiled, count: int) -> None:
    assert (loosened(before, after, 50) > 0) == (count > 0)
    assert loosened(before, after, 50) <= max(count, 0)


def test_a_new_service_with_its_own_policies_is_no_loosening() -> None:
    further = "    cron: {labels: {app: cron}, ports: {http: 8080}, expose: [{port: http, host: c.example}]}\n"
    assert loosened(compiled(), compiled(further=further), 50) == 0


def test_counting_ends_where_the_guard_has_heard_enough() -> None:
    before, after = compiled(shops=6), compiled(spec="spec: {egress: {https: public}}\n", shops=6)
    assert loosened(before, after, 3) == 4


def test_a_model_that_opens_too_much_at_once_is_held() -> None:
    before, after = compiled(shops=6), compiled(spec="spec: {egress: {https: public}}\n", shops=6)
    held = guard(before, after, "driftd", loosened=loosened(before, after, before.mass_objects))
    assert held is not None
    assert "loosen 12" in held.reason
