"""NetworkPolicy: two bodies have one digest exactly if they mean the same by a stated rule."""

import gc
import tracemalloc
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftd.policy.kinds import KINDS, Coverage, MalformedObject, digest_of, isolates_only
from tests.support.policies import Json, changed, meaning, policy, specs

KIND = KINDS["networking.k8s.io", "NetworkPolicy"]
COVERAGE = Coverage()


def digest(spec: Json) -> bytes:
    return digest_of(KIND, policy(spec), COVERAGE)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_change_changes_the_digest_exactly_if_it_changes_the_meaning(data: st.DataObject) -> None:
    before = data.draw(specs())
    after = data.draw(changed(before))
    assert (digest(before) == digest(after)) == (meaning(before) == meaning(after))


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(specs())
def test_the_canonical_form_is_a_fixed_point(spec: Json) -> None:
    covered = KIND.covered(policy(spec), COVERAGE)
    again = KIND.covered({"metadata": {"name": "subject"}, "spec": covered["spec"]}, COVERAGE)
    assert orjson.dumps(covered, option=orjson.OPT_SORT_KEYS) == orjson.dumps(again, option=orjson.OPT_SORT_KEYS)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(specs())
def test_reading_leaves_the_body_alone(spec: Json) -> None:
    body = policy(spec)
    before = orjson.dumps(body)
    KIND.keyed(KIND.covered(body, COVERAGE))
    KIND.merged(body, policy({"podSelector": {}}), COVERAGE)
    KIND.emptied(body)
    assert orjson.dumps(body) == before


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(specs())
def test_a_report_loses_no_rule(spec: Json) -> None:
    covered = KIND.covered(policy(spec), COVERAGE)
    keyed = KIND.keyed(covered)
    for direction in ("ingress", "egress"):
        assert sorted(map(repr, keyed["spec"][direction].values())) == sorted(map(repr, covered["spec"][direction]))


WHOLE = {
    "podSelector": {"matchLabels": {"app": "api"}},
    "policyTypes": ["Ingress"],
    "ingress": [
        {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"protocol": "TCP", "port": 80}]}
    ],
}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [], "egress": []}),
        ({"egress": [{}]}, {"policyTypes": ["Ingress", "Egress"], "egress": [{"to": [], "ports": []}]}),
        ({"ingress": None, "policyTypes": None}, {}),
        ({"ingress": [{"from": None}]}, {"ingress": [{}]}),
        ({"ingress": [{"ports": [{"protocol": None, "port": 1}]}]}, {"ingress": [{"ports": [{"port": 1}]}]}),
        (
            {"egress": [{"to": [{"ipBlock": {"cidr": "10.1.2.3/8"}}]}]},
            {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": []}}]}]},
        ),
        (
            {"egress": [{"to": [{"ipBlock": {"cidr": "2001:DB8:0::/32"}}]}]},
            {"egress": [{"to": [{"ipBlock": {"cidr": "2001:db8::/32"}}]}]},
        ),
    ],
)
def test_spellings_of_one_meaning_have_one_digest(one: Json, other: Json) -> None:
    """Checklist 1.1: default desired objects before comparing"""
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"policyTypes": ["Egress"]}, {"policyTypes": ["Egress"], "egress": [{}]}, id="allow-all added"),
        pytest.param(
            {"ingress": [{"from": [{"namespaceSelector": {}}]}]}, {"ingress": [{"from": [{}]}]}, id="nil is own"
        ),
        pytest.param({"ingress": [{"ports": [{"port": 80}]}]}, {"ingress": [{"ports": [{"port": "80"}]}]}, id="name"),
        pytest.param({"ingress": [{"ports": [{"port": 1}]}]}, {"ingress": [{"ports": [{"port": True}]}]}, id="true"),
        pytest.param(
            {"ingress": [{"ports": [{"port": 80}]}]},
            {"ingress": [{"ports": [{"port": 80, "endPort": 90}]}]},
            id="endPort",
        ),
        pytest.param(
            {"podSelector": {"matchLabels": {"a": "b"}}},
            {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}},
            id="two spellings we keep apart",
        ),
        pytest.param(
            {"egress": [{"to": [{"ipBlock": {"cidr": "::ffff:10.0.0.0/104"}}]}]},
            {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]},
            id="mapped",
        ),
        pytest.param(
            {"egress": [{"to": [{"ipBlock": {"cidr": "010.0.0.0/8"}}]}]},
            {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]},
            id="leading zero",
        ),
    ],
)
def test_different_meanings_have_different_digests(one: Json, other: Json) -> None:
    assert digest(one) != digest(other)


@pytest.mark.parametrize(
    "place",
    [
        lambda spec: spec,
        lambda spec: spec["podSelector"],
        lambda spec: spec["ingress"][0],
        lambda spec: spec["ingress"][0]["from"][0],
        lambda spec: spec["ingress"][0]["from"][0]["podSelector"],
        lambda spec: spec["ingress"][0]["ports"][0],
    ],
)
def test_a_field_of_a_later_version_is_a_difference_wherever_it_stands(place: Any) -> None:
    spec = orjson.loads(orjson.dumps(WHOLE))
    place(spec)["fieldOfTheFuture"] = {"a": [1, 2]}
    first = digest(spec)
    place(spec)["fieldOfTheFuture"]["a"].reverse()
    assert len({digest(WHOLE), first, digest(spec)}) == 3


@pytest.mark.parametrize(
    ("metadata", "differs"),
    [
        ({"labels": {"team": "x"}, "annotations": {"note": "y"}, "finalizers": ["cni.example/x"]}, False),
        ({"managedFields": [{"manager": "m"}], "uid": "u", "resourceVersion": "1", "generation": 4}, False),
        ({"annotations": {"driftd.dev/epoch": "7"}}, False),
        ({"annotations": {"driftd.dev/condemned": "7"}}, True),
        ({"annotations": {"driftd.dev/model": "elsewhere.yaml#Environment/x"}}, True),
        ({"labels": {"driftd.dev/anything": "x"}}, True),
        ({"ownerReferences": [{"kind": "Pod", "name": "p", "uid": "u", "apiVersion": "v1"}]}, True),
        ({"ownerReferences": [], "labels": {}, "annotations": {}}, False),
    ],
)
def test_of_metadata_only_ours_and_the_owners_count(metadata: Json, differs: bool) -> None:
    body = policy(WHOLE)
    before = digest_of(KIND, body, COVERAGE)
    body["metadata"] |= metadata
    assert (digest_of(KIND, body, COVERAGE) != before) is differs


@pytest.mark.parametrize(
    "spec",
    [
        {"ingress": {}},
        {"ingress": [None]},
        {"ingress": [{"from": [None]}]},
        {"ingress": [{"ports": [8080]}]},
        {"podSelector": ["a"]},
        {"podSelector": {"matchLabels": {"a": None}}},
        {"podSelector": {"matchLabels": {"a": 1}}},
        {"ingress": [{"from": [{"ipBlock": "10.0.0.0/8"}]}]},
        {"later": 2**70},
        {"later": "\ud800"},
    ],
)
def test_what_is_no_policy_is_refused_with_the_place(spec: Json) -> None:
    with pytest.raises(MalformedObject, match="expected"):
        digest(spec)


def test_nesting_beyond_what_json_writers_take_is_refused() -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    with pytest.raises(MalformedObject):
        digest({"later": deep})


def test_a_policy_of_eight_thousand_rules_has_a_digest() -> None:
    spec = {"ingress": [{"from": [{"ipBlock": {"cidr": f"10.{i // 256}.{i % 256}.9/24"}}]} for i in range(8000)]}
    assert digest(spec) == digest({"ingress": spec["ingress"][::-1] + spec["ingress"][:1]})


def test_a_tenants_large_rules_are_not_remembered() -> None:
    """Seen: 15 policies of 500 KB, none of which was kept, cost 150 MiB for good."""

    def large(number: int) -> Json:
        labels = ({f"key-{number}-{one}": f"value-{number}-{one}"} for one in range(1000))
        return {"ingress": [{"from": [{"podSelector": {"matchLabels": label}} for label in labels]}]}

    digest(large(0))
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1, 6):
            digest(large(number))
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 500_000  # one such rule, read, is more than that


def test_rules_read_as_words() -> None:
    spec = {
        "ingress": [
            {},
            {
                "from": [{"podSelector": {"matchLabels": {"app": "web"}}}],
                "ports": [{"port": 8080}, {"port": 53, "protocol": "UDP"}],
            },
            {
                "from": [
                    {
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}},
                        "podSelector": {"matchLabels": {"app": "gateway"}},
                    }
                ]
            },
        ],
        "egress": [
            {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}], "ports": [{"port": 1, "endPort": 9}]}
        ],
    }
    keyed = KIND.keyed(KIND.covered(policy(spec), COVERAGE))["spec"]
    assert sorted(keyed["ingress"]) == [
        "anybody: any port",
        "pods app=gateway in namespace ingress: any port",
        "pods app=web: TCP 8080, UDP 53",
    ]
    assert list(keyed["egress"]) == ["0.0.0.0/0 except 10.0.0.0/8: TCP 1-9"]


def test_rules_with_the_same_short_words_stay_apart() -> None:
    wide = [{"ipBlock": {"cidr": "0.0.0.0/0", "except": [f"10.{i}.0.0/16" for i in range(9)]}}]
    other = [{"ipBlock": {"cidr": "0.0.0.0/0", "except": [f"11.{i}.0.0/16" for i in range(9)]}}]
    keyed = KIND.keyed(KIND.covered(policy({"egress": [{"to": wide}, {"to": other}]}), COVERAGE))
    names = list(keyed["spec"]["egress"])
    assert len(names) == 2
    assert all("except 9 ranges" in name and "#" in name for name in names)


def test_a_policy_without_rules_only_isolates() -> None:
    def isolates(spec: Json) -> bool:
        return isolates_only(KIND.covered(policy(spec), COVERAGE))

    assert isolates({"policyTypes": ["Ingress", "Egress"]})
    assert not isolates({"egress": [{}]})
    assert not isolates({"allowOfTheFuture": True})


def test_a_refusal_stays_short_whatever_was_found() -> None:
    deep: Any = "x" * 10**6
    for _ in range(900):
        deep = [deep]
    with pytest.raises(MalformedObject) as caught:
        digest({"podSelector": deep})
    assert len(str(caught.value)) < 300
