"""`driftd check`: exit codes, documents, and the honest middle between clean and drift."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from driftd.cli.documents import schema_of
from driftd.cli.live import LiveState
from driftd.cli.meaning import meanings
from driftd.drift import Difference
from driftd.values import FindingType
from tests.support.admins import GROUP, admin, incoming, outgoing, spaces
from tests.support.cli import Items, driftd, dump, write_model
from tests.support.json_schema import errors
from tests.support.model_texts import PLAN, environment
from tests.support.stage import compiled_models

EXEMPTION = """\
apiVersion: driftd.dev/v1alpha1
kind: Exemption
metadata: {name: hole}
spec:
  object: {kind: NetworkPolicy, namespace: shop, name: debug}
  until: 2999-01-01
  owner: platform
  reason: INC-1
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_model(tmp_path / "models", shop=environment("shop", "acme"), desk=environment("desk", "globex"))


def find(items: Items, kind: str, name: str, namespace: str = "shop") -> dict[str, Any]:
    return next(
        one
        for one in items
        if one["kind"] == kind
        and one["metadata"]["name"] == name
        and one["metadata"].get("namespace", namespace) == namespace
    )


def opened(items: Items) -> None:
    find(items, "NetworkPolicy", "default-deny")["spec"]["egress"] = [{}]


def check(models: Path, stdin: str, *more: str) -> Any:
    return driftd("check", "--models", models, "--manifests", "-", *more, stdin=stdin)


def test_a_cluster_as_the_model_has_it_is_clean(models: Path) -> None:
    ran = check(models, dump(models))
    assert ran.code == 0
    assert not ran.out
    assert "clean" in ran.err


def test_the_order_of_lists_and_defaults_left_out_are_no_drift(models: Path) -> None:
    def turned(items: Items) -> None:
        for one in items:
            for rule in one.get("spec", {}).get("ingress", []):
                rule["from"].reverse()
                for port in rule.get("ports", []):
                    port.pop("protocol") if port["protocol"] == "TCP" else None
        items.reverse()

    assert check(models, dump(models, turned)).code == 0


def test_a_hole_is_told_with_the_line_of_the_model_and_what_it_is(models: Path) -> None:
    ran = check(models, dump(models, opened))
    assert ran.code == 1
    heading, row, effect = ran.out.splitlines()
    assert heading.split() == ["FINDING", "OBJECT", "MODEL", "WHAT"]
    assert row.startswith("modified  NetworkPolicy shop/default-deny  shop.yaml:1")
    assert "egress rule to anybody any port was added" in row
    assert effect.strip().startswith("it opens shop/")


def test_a_policy_for_pods_nobody_has_says_that_nobody_gains_anything_now(models: Path) -> None:
    def prepared(items: Items) -> None:
        rogue = copy.deepcopy(find(items, "NetworkPolicy", "default-deny"))
        rogue["metadata"]["name"] = "debug"
        rogue["spec"] |= {"podSelector": {"matchLabels": {"role": "debug"}}, "egress": [{}]}
        items.append(rogue)

    stdin = dump(models, prepared)
    (found,) = check(models, stdin, "-o", "json").json()["findings"]
    assert (found["direction"], found["neutralNow"]) == ("loosens", True)
    assert "role=debug" in found["witness"]["source"]
    said = "no pod that is known gains anything now; one made later could: shop/any pod "
    assert found["effect"].startswith(said)
    assert said in check(models, stdin).out
    assert f"# {said}" in driftd("diff", "--models", models, "--manifests", "-", stdin=stdin).out


def test_what_no_flow_shows_is_told_as_such(models: Path) -> None:
    def with_token(items: Items) -> None:
        find(items, "ServiceAccount", "default")["automountServiceAccountToken"] = True

    (found,) = check(models, dump(models, with_token), "-o", "json").json()["findings"]
    assert (found["direction"], found["witness"]) == ("loosens", None)
    assert found["effect"] == "it loosens isolation, in a way that no flow shows"


def test_holes_are_judged_together_for_one_may_need_two_policies(models: Path) -> None:
    """An egress without its ingress opens nothing; the two of them do, and each is told as half of it."""

    def both(items: Items) -> None:
        peers: Items = [{"namespaceSelector": {}, "podSelector": {}}]
        for namespace, way, end in (("shop", "egress", "to"), ("desk", "ingress", "from")):
            extra = copy.deepcopy(find(items, "NetworkPolicy", "default-deny", namespace))
            extra["metadata"]["name"] = "half"
            extra["spec"] |= {way: [{end: peers}], "policyTypes": [way.capitalize()]}
            items.append(extra)

    found = check(models, dump(models, both), "-o", "json").json()["findings"]
    assert [(one["direction"], one["severity"]) for one in found] == [("loosens", "critical")] * 2
    assert not any(one["neutralNow"] for one in found)


def test_a_policy_of_a_tenants_own_that_the_plan_lets_stand_is_told_and_is_no_drift(tmp_path: Path) -> None:
    plan = f"{PLAN}spec: {{tenantPolicies: inertOrTightening}}\n"
    models = write_model(tmp_path / "models", shop=environment("shop", "acme"), plan=plan)

    def own(items: Items) -> None:
        mine = copy.deepcopy(find(items, "NetworkPolicy", "default-deny"))
        mine["metadata"] = {"name": "mine", "namespace": "shop"}
        items.append(mine)

    ran = check(models, dump(models, own), "-o", "json")
    assert ran.code == 0
    assert ran.json()["verdict"] == "clean"
    assert [one["type"] for one in ran.json()["findings"]] == ["tolerated"]
    assert "clean, 1 that the plan lets stand" in check(models, dump(models, own)).err


def test_the_document_is_as_its_schema_says(models: Path) -> None:
    def tampered(items: Items) -> None:
        opened(items)
        items.remove(find(items, "NetworkPolicy", "web-ingress"))
        extra = copy.deepcopy(find(items, "NetworkPolicy", "default-deny"))
        extra["metadata"] = {"name": "rogue", "namespace": "shop", "finalizers": ["a/b"]}
        items.append(extra)
        items.append({**extra, "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy"})

    ran = check(models, dump(models, tampered), "-o", "json")
    assert ran.code == 1
    document = ran.json()
    assert errors(document, schema_of("DriftReport")) == []
    assert list(document)[:2] == ["apiVersion", "kind"]
    assert document["verdict"] == "drift"
    assert {(one["type"], one["object"]["name"]) for one in document["findings"]} == {
        ("modified", "default-deny"),
        ("missing", "web-ingress"),
        ("unexpected", "rogue"),
        ("unknown-kind", "rogue"),
    }
    modified = next(one for one in document["findings"] if one["type"] == "modified")
    assert modified["origin"] == {"file": "shop.yaml", "line": 1, "document": "Environment/shop"}
    assert modified["changes"][0]["live"] == "{}"
    assert modified["tenant"] == "acme"
    assert modified["mode"] == "report"
    assert modified["direction"] == "loosens"
    assert not modified["neutralNow"]
    assert modified["effect"].startswith("it opens ")


def test_yaml_and_json_say_the_same(models: Path) -> None:
    import yaml

    stdin = dump(models, opened)
    told = yaml.safe_load(check(models, stdin, "-o", "yaml").out)
    assert told == check(models, stdin, "-o", "json").json()


def test_something_unreadable_beats_drift_and_proves_no_absence(models: Path, tmp_path: Path) -> None:
    def gone(items: Items) -> None:
        opened(items)
        items.remove(find(items, "NetworkPolicy", "web-ingress"))

    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "good.json").write_text(dump(models, gone))
    (tmp_path / "live" / "bad.yaml").write_text("kind: [")
    ran = driftd("check", "--models", models, "--manifests", tmp_path / "live", "-o", "json")
    assert ran.code == 3
    document = ran.json()
    assert document["verdict"] == "unknown"
    assert [one["type"] for one in document["findings"]] == ["modified"]
    assert "bad.yaml" in document["gaps"][0]["where"]
    assert "web-ingress" in document["gaps"][1]["why"]
    assert errors(document, schema_of("DriftReport")) == []


def test_paths_that_a_shell_spread_out_count_as_manifests(models: Path, tmp_path: Path) -> None:
    items = json.loads(dump(models))["items"]
    for index, item in enumerate(items):
        (tmp_path / f"{index}.json").write_text(json.dumps(item))
    spread = sorted(tmp_path.glob("*.json"))
    assert driftd("check", "--models", models, "--manifests", *spread).code == 0
    assert driftd("check", "--models", models, "--manifests", *spread[1:]).code == 1


def test_the_question_can_be_narrowed_to_kinds_and_namespaces(models: Path) -> None:
    def only_policies(items: Items) -> None:
        items[:] = [one for one in items if one["kind"] == "NetworkPolicy"]
        opened(items)

    stdin = dump(models, only_policies)
    assert check(models, stdin, "--kind", "NetworkPolicy", "--namespace", "desk").code == 0
    narrowed = check(models, stdin, "--kind", "NetworkPolicy", "-o", "json")
    assert narrowed.code == 1
    assert [one["object"]["name"] for one in narrowed.json()["findings"]] == ["default-deny"]
    stranger = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "x", "namespace": "shop"},
    }
    also = json.dumps({**json.loads(stdin), "items": [*json.loads(stdin)["items"], stranger]})
    assert check(models, also, "--kind", "NetworkPolicy", "-o", "json").json()["summary"]["findings"] == 1
    whole = check(models, stdin, "-o", "json").json()
    assert {one["object"]["kind"] for one in whole["findings"] if one["type"] == "missing"} > {"Namespace"}


def test_an_exempt_object_is_named_and_is_no_drift(tmp_path: Path) -> None:
    models = write_model(tmp_path / "models", shop=environment("shop", "acme"), hole=EXEMPTION)

    def debugged(items: Items) -> None:
        rogue = copy.deepcopy(find(items, "NetworkPolicy", "default-deny"))
        items.append({**rogue, "metadata": {"name": "debug", "namespace": "shop"}})

    ran = check(models, dump(models, debugged), "-o", "json")
    assert ran.code == 0
    assert [one["object"]["name"] for one in ran.json()["exempted"]] == ["debug"]


def test_objects_that_driftd_never_took_over_are_drift_as_the_daemon_sees_it_and_a_hint_says_why(models: Path) -> None:
    def never_touched(items: Items) -> None:
        for one in items:
            del one["metadata"]["annotations"]["driftd.dev/model"]
        del find(items, "Namespace", "shop")["metadata"]["labels"]["driftd.dev/tenant"]

    ran = check(models, dump(models, never_touched), "-o", "json")
    assert ran.code == 1
    found = ran.json()
    assert len(found["unmarked"]) == found["summary"]["objects"] == found["summary"]["findings"]
    assert [one["object"] for one in found["findings"]] == found["unmarked"]
    assert "differ in nothing but driftd's own marks" in check(models, dump(models, never_touched)).err


def test_a_mark_that_was_changed_or_a_tenant_that_was_taken_off_is_drift(models: Path) -> None:
    def moved(items: Items) -> None:
        find(items, "NetworkPolicy", "default-deny")["metadata"]["annotations"]["driftd.dev/model"] = "elsewhere"
        del find(items, "Namespace", "shop")["metadata"]["labels"]["driftd.dev/tenant"]

    found = check(models, dump(models, moved), "-o", "json").json()["findings"]
    assert {one["object"]["kind"] for one in found} == {"Namespace", "NetworkPolicy"}


def test_a_model_with_errors_is_exit_code_two_with_its_errors_on_stderr(models: Path) -> None:
    stdin = dump(models)
    (models / "more.yaml").write_text(environment("more", "acme").replace("plan: shared", "plan: sharde"))
    ran = check(models, stdin, "-o", "json")
    assert ran.code == 2
    assert not ran.out
    assert f"{models}/more.yaml:6:9: error: spec.plan:" in ran.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "no live state is named"),
        (("somewhere.yaml",), "no live state is named"),
        (("--manifests", "/nowhere"), "no such file"),
        (("--manifests", "-", "--kind", "Pod"), "driftd governs"),
        (("--manifests", "-", "--namespace", "kube-system"), "does not govern"),
    ],
)
def test_wrong_questions_are_exit_code_two(models: Path, arguments: tuple[str, ...], why: str) -> None:
    ran = driftd("check", "--models", models, *arguments)
    assert ran.code == 2
    assert not ran.out
    assert why in ran.err


def test_a_cluster_that_cannot_be_reached_is_exit_code_three(models: Path, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\n"
        "clusters: [{name: x, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "users: [{name: x, user: {token: t}}]\n"
        "contexts: [{name: x, context: {cluster: x, user: x}}]\n"
    )
    for given in (kubeconfig, tmp_path / "missing"):
        ran = driftd("check", "--models", models, "--kubeconfig", given, "-o", "json")
        assert ran.code == 3
        assert not ran.out
        assert "cannot be asked" in ran.err


def test_an_object_that_cannot_be_read_as_its_kind_is_drift_and_stops_nothing(models: Path) -> None:
    def broken(items: Items) -> None:
        find(items, "NetworkPolicy", "default-deny")["spec"] = {"podSelector": {}, "egress": [7]}
        find(items, "ServiceAccount", "default")["automountServiceAccountToken"] = "no"
        items.append({**find(items, "NetworkPolicy", "web-ingress"), "spec": "text"})
        items[-1]["metadata"] = {"name": "rogue", "namespace": "shop", "finalizers": ["a/b"]}

    for command in ("check", "diff"):
        ran = driftd(command, "--models", models, "--manifests", "-", stdin=dump(models, broken))
        assert ran.code == 1
        assert ran.out.count("it cannot be read") == 3
        objects = len(json.loads(dump(models))["items"])
        assert ran.err == f"manifests -: {objects} objects in 2 namespaces: 3 findings\n"


def test_names_that_would_move_the_terminal_are_escaped(models: Path) -> None:
    def nasty(items: Items) -> None:
        rogue = copy.deepcopy(find(items, "NetworkPolicy", "default-deny"))
        items.append({**rogue, "metadata": {"name": "a\x1b[2Jb", "namespace": "shop"}})

    ran = check(models, dump(models, nasty))
    assert "\x1b" not in ran.out
    assert "\\x1b" in ran.out


def test_of_very_many_policies_that_differ_the_first_are_judged_and_what_decides_no_flow_always(models: Path) -> None:
    compiled = compiled_models(models)
    missing = [
        Difference(FindingType.MISSING, ref, desired, None)
        for governed in compiled.governed.values()
        for ref, desired in governed.objects.items()
    ]
    known = meanings(compiled, missing, LiveState("nowhere", {}), most=3)
    deciding = [one.ref for one in missing if one.ref.kind in ("NetworkPolicy", "Namespace")]
    assert [ref in known for ref in deciding] == [True] * 3 + [False] * (len(deciding) - 3)
    assert known.keys() >= {one.ref for one in missing} - set(deciding)


def test_an_admin_policy_is_drift_by_what_it_does_and_the_rest_is_judged_beside_it(models: Path) -> None:
    both = spaces("shop", "desk")
    opens = admin("opens", both, incoming("Allow", both), outgoing("Allow", both))
    shuts = admin("shuts", both, outgoing("Deny", both), priority=1)

    def directions(*policies: Any, rogue: bool = False) -> dict[str, str]:
        def living(items: Items) -> None:
            items.extend(policies)
            if rogue:
                find(items, "NetworkPolicy", "default-deny")["spec"]["egress"] = [{"to": [{"namespaceSelector": {}}]}]

        ran = check(models, dump(models, living), "-o", "json")
        assert ran.code == 1, ran.err
        return {one["object"]["name"]: one["direction"] for one in ran.json()["findings"]}

    assert directions(opens) == {"opens": "loosens"}
    assert directions(shuts) == {"shuts": "neutral"}  # nothing goes that way
    assert directions(admin("mute", both, outgoing("Deny", spaces()))) == {"mute": "tightens"}
    assert directions(rogue=True) == {"default-deny": "loosens"}
    # Perhaps nobody enforces them: what one denies is open all the same.
    assert directions(opens, shuts) == {"opens": "loosens", "shuts": "neutral"}
    shut_in = admin("shut-in", spaces("shop"), outgoing("Deny", spaces()))
    assert directions(shut_in, rogue=True)["default-deny"] == "loosens"
    unread = check(models, dump(models, lambda items: items.append({**opens, "apiVersion": f"{GROUP}/v9"})))
    assert unread.code == 3
