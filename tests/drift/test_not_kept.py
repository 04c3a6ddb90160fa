"""Objects of which not all is kept: labels that are not there are not taken for none."""

from functools import cache

import orjson
import pytest

from driftd.cluster.budget import abridged
from driftd.compile import Compiled, compile_model
from driftd.drift import Backings, Candidate, World, label_inputs, labels_of, relabelled_others, told
from driftd.drift.foreign import MOST_TOLD
from driftd.values import Body, Digest, Direction, Finding, FindingType, Live, ObjectRef
from tests.support.model_texts import CLUSTER, environment, model
from tests.support.objects import network_set, service_account

PARTNERS = """\
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: partners, namespace: shop}
spec:
  order: 30
  types: [Egress]
  egress: [{action: Allow, destination: {selector: role == 'partner', namespaceSelector: all()}}]
"""
MANY = {f"{'j' * 40}{number}": "x" * 60 for number in range(50)}


@cache
def compiled(dialect: str = "calico") -> Compiled:
    cluster = CLUSTER.replace("spec:\n", f"spec:\n  cni: {{dialect: {dialect}}}\n", 1)
    shop = environment("shop", "acme") + (PARTNERS if dialect == "calico" else "")
    return compile_model(model(cluster=cluster, acme=shop))


def hollow(body: Body) -> Live:
    """The object as the mirror keeps it where its namespace has no room."""
    group = body["apiVersion"].partition("/")[0] if "/" in body["apiVersion"] else ""
    body["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    ref = ObjectRef(group, body["kind"], body["metadata"]["namespace"], body["metadata"]["name"])
    raw = orjson.dumps({**body, "more": "x" * 4000})
    found = abridged(Live(ref, raw, Digest(b"x"), "u", "1", terminating=False, managers=()))
    assert found.hollow
    return found


def told_of(world: World, model_: Compiled, *lives: Live) -> list[Finding]:
    world.observe(list(label_inputs(model_, {one.ref: one for one in lives}, [one.ref for one in lives])))
    return list(relabelled_others(model_, world))


def test_a_few_labels_are_kept_and_of_very_many_it_is_known_that_they_are_not() -> None:
    assert labels_of(hollow(service_account("shop/web", role="gateway"))) == {"role": "gateway"}
    assert labels_of(hollow(service_account("shop/web", **MANY))) is None
    assert labels_of(None) == {}


def test_a_service_account_whose_labels_are_not_kept_is_not_known() -> None:
    """Seen: fifty labels of junk beside it, and the label that opened a door was no finding any more."""
    world = World(compiled())
    junk = hollow(service_account("shop/web", role="gateway", **MANY))
    (found,) = told_of(world, compiled(), junk)
    assert (found.ref, found.type, found.direction) == (junk.ref, FindingType.RELABELLED, Direction.UNKNOWN)
    assert told_of(world, compiled(), hollow(service_account("shop/web"))) == []


def test_where_no_rule_reads_labels_of_service_accounts_they_are_nobodys_business() -> None:
    model_ = compiled("kubernetes")
    assert told_of(World(model_), model_, hollow(service_account("shop/web", **MANY))) == []


def test_whoever_makes_thousands_is_told_of_and_not_each_of_them_and_ends_none_that_stands() -> None:
    """Seen: twenty more that were looked at before it, and the finding of one that stood was over."""
    many = [hollow(service_account(f"shop/s{number:02}", **MANY)) for number in range(MOST_TOLD + 5)]
    found = told_of(World(compiled()), compiled(), *many)
    last = found[-1]
    said = list(told(compiled(), map(Candidate.of, found), {last.id: last}))
    named = {one.ref.name for one in said if one.ref.kind == "ServiceAccount"}
    assert (len(named), last.ref.name in named) == (MOST_TOLD, True)
    assert [one.severity for one in said if one.ref.kind == "Namespace"] == [last.severity]


@pytest.mark.parametrize(("labels", "count"), [({"role": "partner"} | MANY, 1), (MANY, 1), ({"role": "other"}, 0)])
def test_a_strangers_set_whose_labels_are_not_kept_may_be_found_by_any_rule(labels: dict[str, str], count: int) -> None:
    kept = hollow(network_set("stranger/s", *["203.0.113.0/24"] * 200, **labels))
    world = World(compiled())
    world.surround(Backings.of((), (), {}), {kept.ref: {**kept.body(), "spec": None}})
    found = list(relabelled_others(compiled(), world))
    assert [one.direction for one in found] == [Direction.UNKNOWN] * count
