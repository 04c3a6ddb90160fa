"""`driftd adopt`: what is written is the live namespace and nothing else, and nothing is ever written over."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftd.cli.documents import schema_of
from tests.support.cli import Ran, driftd, write_model
from tests.support.json_schema import errors
from tests.support.model_texts import environment

Body = dict[str, Any]
NOISE = {
    "uid": "1-2-3",
    "resourceVersion": "7",
    "creationTimestamp": "2026-11-22T02:00:00Z",
    "generation": 4,
    "managedFields": [{"manager": "kubectl", "operation": "Update", "time": "2026-11-22T02:00:00Z"}],
}


def namespace(**labels: str) -> Body:
    named = {"kubernetes.io/metadata.name": "legacy", **labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "legacy", "labels": named, **NOISE}}


def policy(name: str, **spec: Any) -> Body:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "legacy", **NOISE},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], **spec},
    }


def quota() -> Body:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": "legacy", **NOISE},
        "spec": {"hard": {"pods": "5", "requests.cpu": "1500m"}},
        "status": {"hard": {"pods": "5"}, "used": {"pods": "1"}},
    }


TEAM = policy("team", ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "12e5"}}}]}])
LIVE = (namespace(team="12e5", color="blue"), policy("open", ingress=[{}]), TEAM, quota())


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_model(tmp_path / "models", shop=environment("shop", "acme"))


def adopt(models: Path, *more: str | Path, live: tuple[Body, ...] = LIVE) -> Ran:
    stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": live})
    return driftd("adopt", "legacy", "--models", models, "--manifests", "-", *more, stdin=stdin)


def check(models: Path, live: tuple[Body, ...] = LIVE) -> Ran:
    stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": live})
    return driftd("check", "--models", models, "--manifests", "-", "-n", "legacy", "-o", "json", stdin=stdin)


def agrees(models: Path, live: tuple[Body, ...] = LIVE) -> bool:
    """Whether the model differs from the live state in nothing but driftd's marks, which nobody has written yet."""
    document = check(models, live).json()
    return bool(document["gaps"] == [] and [one["object"] for one in document["findings"]] == document["unmarked"])


def test_the_adopted_model_lints_and_agrees_with_the_live_state(models: Path) -> None:
    ran = adopt(models, "--tenant", "newco", "-o", "json")
    assert ran.code == 0
    document = ran.json()
    assert errors(document, schema_of("Adoption")) == []
    assert document["written"]
    assert document["file"] == str(models / "manifests" / "legacy.yaml")
    assert [one["kind"] for one in document["objects"]] == [
        "Namespace",
        "NetworkPolicy",
        "NetworkPolicy",
        "ResourceQuota",
    ]
    assert driftd("lint", "--models", models).code == 0
    assert agrees(models)


def test_what_servers_and_tools_put_there_is_left_out_and_the_rest_is_word_for_word(models: Path) -> None:
    labelled = policy("open", ingress=[{}])
    labelled["metadata"] |= {
        "labels": {"app": "1", "rev": "12e5"},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "yes"},
    }
    adopt(models, "--tenant", "newco", live=(namespace(team="x", color="blue"), labelled, TEAM))
    items = driftd("compile", "--models", models, "-n", "legacy", "-o", "json").json()["items"]
    by_name = {one["metadata"]["name"]: one for one in items}
    assert by_name["legacy"]["metadata"]["labels"] == {"driftd.dev/tenant": "newco", "team": "x"}
    assert by_name["open"]["metadata"]["labels"] == {"app": "1", "rev": "12e5"}
    mark = "manifests/legacy.yaml#NetworkPolicy/legacy/open"
    assert by_name["open"]["metadata"]["annotations"] == {"note": "yes", "driftd.dev/model": mark}
    assert by_name["open"]["spec"] == labelled["spec"]


def test_what_to_review_is_told(models: Path) -> None:
    owned = policy("owned")
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "x/v1", "kind": "App", "name": "a", "uid": "1"}]
    owned["metadata"]["annotations"] = {"meta.helm.sh/release-name": "a"}
    ran = adopt(models, "--tenant", "newco", live=(*LIVE, owned))
    assert ran.code == 1
    for point in (
        "no policy selects all pods for egress",
        "legacy/open allows all ingress",
        "owned by App a",
        "also managed by Helm",
        "there is no LimitRange",
        "Pod Security",
        "the namespace label team",
        "still differs: NetworkPolicy legacy/owned",
    ):
        assert point in ran.err, point


def test_a_dry_run_prints_the_file_and_writes_nothing(models: Path) -> None:
    ran = adopt(models, "--tenant", "newco", "--dry-run")
    assert ran.code == 0
    assert "kind: ResourceQuota" in ran.out
    assert not (models / "manifests").exists()


@pytest.mark.parametrize(
    ("more", "live", "code", "why"),
    [
        ((), LIVE, 2, "say --tenant"),
        (("--tenant", "newco"), LIVE[1:], 2, "there is no Namespace legacy"),
        (("--tenant", "newco", "--file", "../out.yaml"), LIVE, 2, "below"),
        (("--tenant", "newco", "--file", "a.txt"), LIVE, 2, ".yaml file"),
        (("--tenant", "newco", "--file", "shop.yaml"), LIVE, 2, "exists and is not written over"),
        (("--tenant", "New Co"), LIVE, 2, "would not be valid"),
        (("--tenant", "newco"), (*LIVE, {"kind": "NetworkPolicy"}), 3, "nothing is adopted"),
    ],
)
def test_a_refusal_writes_nothing(models: Path, more: tuple[str, ...], live: Any, code: int, why: str) -> None:
    before = {file: file.read_bytes() for file in models.rglob("*") if file.is_file()}
    ran = adopt(models, *more, live=live)
    assert (ran.code, ran.out) == (code, "")
    assert why in ran.err
    assert {file: file.read_bytes() for file in models.rglob("*") if file.is_file()} == before


def test_a_namespace_is_adopted_once(models: Path) -> None:
    assert adopt(models, "--tenant", "newco").code == 0
    text = (models / "manifests" / "legacy.yaml").read_bytes()
    ran = adopt(models, "--tenant", "newco", "--file", "again.yaml")
    assert ran.code == 2
    assert "governed already: manifests/legacy.yaml" in ran.err
    assert (models / "manifests" / "legacy.yaml").read_bytes() == text


def test_the_tenant_is_the_one_that_the_namespace_names(models: Path) -> None:
    live = (namespace(**{"driftd.dev/tenant": "acme"}), *LIVE[1:])
    assert adopt(models, "-o", "json", live=live).json()["tenant"] == "acme"
    assert agrees(models, live)


LABELS = st.dictionaries(
    st.from_regex(r"\A[a-z0-9]([-a-z0-9_.]{0,6}[a-z0-9])?\Z"),
    st.from_regex(r"\A([a-z0-9]([-a-z0-9_.]{0,6}[a-z0-9])?)?\Z"),
    max_size=3,
)
SELECTORS = st.fixed_dictionaries({}, optional={"matchLabels": LABELS})
PORTS = st.fixed_dictionaries(
    {"port": st.integers(1, 65535) | st.sampled_from(["http", "5e3", "on"])},
    optional={"protocol": st.sampled_from(["TCP", "UDP", "SCTP"])},
)
PEERS = st.fixed_dictionaries({"podSelector": SELECTORS}, optional={"namespaceSelector": SELECTORS}) | st.just(
    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}
)
INGRESS = st.fixed_dictionaries(
    {}, optional={"from": st.lists(PEERS, max_size=2), "ports": st.lists(PORTS, max_size=2)}
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(labels=LABELS, pods=SELECTORS, rules=st.lists(INGRESS, max_size=3))
def test_whatever_the_live_policies_say_adoption_agrees_with_them(
    tmp_path_factory: pytest.TempPathFactory, labels: dict[str, str], pods: Body, rules: list[Body]
) -> None:
    models = write_model(tmp_path_factory.mktemp("models"))
    live = (namespace(**labels), policy("any", podSelector=pods, ingress=rules))
    ran = adopt(models, "--tenant", "newco", live=live)
    assert ran.code == 0, ran.err
    assert agrees(models, live)
