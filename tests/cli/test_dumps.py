"""Live objects from files: every shape in which tools write them, and everything that cannot be read by name."""

import json
from pathlib import Path
from typing import Any

import yaml

from driftd.cli.dumps import read_dumps
from driftd.policy.kinds import Coverage
from driftd.values import ObjectRef

COVERAGE = Coverage()


def policy(name: str = "web", namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {}, **spec},
    }


def names(folder: Path, *paths: Path) -> list[str]:
    return sorted(str(ref) for ref in read_dumps(paths or (folder,), COVERAGE).objects)


def test_lists_documents_json_and_yaml_in_nested_folders_are_all_read(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "list.json").write_text(
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [policy("a"), {"kind": "Pod", "apiVersion": "v1"}]})
    )
    bare = [{"metadata": policy(name)["metadata"], "spec": {"podSelector": {}}} for name in ("b", "c")]
    (tmp_path / "below" / "typed.yaml").write_text(
        yaml.safe_dump({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicyList", "items": bare})
    )
    (tmp_path / "several.yml").write_text(yaml.safe_dump_all([policy("d"), policy("e")]))
    (tmp_path / ".hidden.yaml").write_text("nonsense: [")
    (tmp_path / "notes.txt").write_text("nonsense")
    live = read_dumps([tmp_path], COVERAGE)
    assert [str(ref) for ref in sorted(live.objects)] == [f"NetworkPolicy shop/{name}" for name in "abcde"]
    assert not live.gaps
    assert live.absence_proved


def test_what_cannot_be_read_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "a-broken.yaml").write_text("kind: [")
    (tmp_path / "b-good.yaml").write_text(yaml.safe_dump(policy()))
    (tmp_path / "c-half.yaml").write_text(yaml.safe_dump(policy("half")) + "---\nx: 1\nx: 2\n")
    (tmp_path / "d-no-object.yaml").write_text("just: text\n")
    (tmp_path / "e-no-namespace.json").write_text(json.dumps({**policy(), "metadata": {"name": "lost"}}))
    (tmp_path / "f-old.yaml").write_text(yaml.safe_dump({**policy("old"), "apiVersion": "networking.k8s.io/v1beta1"}))
    (tmp_path / "g-nothing.yaml").symlink_to(tmp_path / "nowhere")
    live = read_dumps([tmp_path], COVERAGE)
    assert [str(ref) for ref in sorted(live.objects)] == ["NetworkPolicy shop/half", "NetworkPolicy shop/web"]
    assert [Path(gap.where.split(" (")[0]).name[0] for gap in live.gaps] == list("acdefg")
    assert not live.absence_proved


def test_the_same_object_twice_is_fine_and_two_versions_of_it_are_not(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump_all([policy(), policy()]))
    assert not read_dumps([tmp_path], COVERAGE).gaps
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(policy(ingress=[{}])))
    (gap,) = read_dumps([tmp_path], COVERAGE).gaps
    assert "NetworkPolicy shop/web was read before with other content" in str(gap)


def test_an_object_of_a_policy_kind_that_nobody_understands_is_kept_apart(tmp_path: Path) -> None:
    stranger = {**policy("x"), "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy"}
    derived = {**policy("y"), "apiVersion": "cilium.io/v2", "kind": "CiliumEndpoint"}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump_all([stranger, derived, policy()]))
    live = read_dumps([tmp_path], COVERAGE)
    assert [one.ref for one in live.unknown] == [ObjectRef("cilium.io", "CiliumNetworkPolicy", "shop", "x")]
    assert len(live.objects) == 1


def test_managed_fields_name_the_author_and_are_not_kept(tmp_path: Path) -> None:
    body = policy()
    body["metadata"]["managedFields"] = [
        {"manager": "kubectl-edit", "operation": "Update", "time": "2026-11-22T02:00:00Z"}
    ]
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(body))
    (live,) = read_dumps([tmp_path], COVERAGE).objects.values()
    assert [manager.name for manager in live.managers] == ["kubectl-edit"]
    assert b"managedFields" not in live.raw
