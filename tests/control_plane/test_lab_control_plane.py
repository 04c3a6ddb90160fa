"""What the shared lab is: a real API server with its authentication, authorization, controllers and records."""

import stat
import uuid
from pathlib import Path

import pytest

from driftd.lab import AdminRequestError, AuditLog, Lab
from driftd.lab.authority import Authority
from driftd.lab.kubeconfig import Access, write_kubeconfig
from tests.support.lab_requests import Api, Body, api, until

EMPTY_POLICY: Body = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}


async def fresh_namespace(admin: Api) -> str:
    name = f"t-{uuid.uuid4().hex[:10]}"
    await admin.create("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


def policies(namespace: str) -> str:
    return f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"


async def test_the_version_is_that_of_the_pinned_kubernetes(lab: Lab) -> None:
    async with api(lab.kubeconfig) as admin:
        version = await admin.get("/version")
    assert version["major"] == "1"
    assert version["gitVersion"].startswith("v1.")


async def test_a_certificate_of_another_authority_lets_nobody_in(lab: Lab, tmp_path: Path) -> None:
    stranger = Authority.open(tmp_path, "another").client("admin", ("system:masters",))
    access = Access("lab", lab.server, (lab.data_dir / "pki" / "ca.crt").read_bytes())
    async with api(write_kubeconfig(tmp_path / "kubeconfig", access, "admin", stranger)) as forged:
        assert (await forged.call("GET", "/api/v1/namespaces"))[0] == 401


async def test_a_user_whom_nothing_is_granted_may_do_nothing(lab: Lab) -> None:
    async with api(lab.kubeconfig_for("nobody")) as nobody:
        code, answer = await nobody.call("GET", "/api/v1/namespaces")
    assert code == 403
    assert 'User "nobody"' in answer["message"]


async def test_a_user_has_the_rights_of_its_groups(lab: Lab) -> None:
    async with api(lab.kubeconfig) as admin:
        binding = {
            "metadata": {"name": f"readers-{uuid.uuid4().hex[:8]}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "readers"}],
        }
        await admin.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    async with api(lab.kubeconfig_for("alice@example.org", ("readers",))) as alice:

        async def may_read() -> bool:
            return (await alice.call("GET", "/api/v1/namespaces/default/pods"))[0] == 200

        await until(may_read)
        assert (await alice.call("POST", policies("default"), EMPTY_POLICY))[0] == 403


async def test_a_service_account_speaks_with_its_own_token(lab: Lab) -> None:
    async with api(lab.kubeconfig) as admin:
        namespace = await fresh_namespace(admin)
        await admin.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "robot"}})
    async with api(await lab.service_account_kubeconfig(namespace, "robot")) as robot:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        said = await robot.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    assert said["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:robot"


async def test_a_service_account_that_is_not_there_has_no_kubeconfig(lab: Lab) -> None:
    with pytest.raises(AdminRequestError, match=r"404 .*robot"):
        await lab.service_account_kubeconfig("default", "robot")


async def test_the_controllers_fill_a_new_namespace_and_empty_a_deleted_one(lab: Lab) -> None:
    async with api(lab.kubeconfig) as admin:
        namespace = await fresh_namespace(admin)

        async def filled() -> bool:
            account, _ = await admin.call("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
            root, _ = await admin.call("GET", f"/api/v1/namespaces/{namespace}/configmaps/kube-root-ca.crt")
            return (account, root) == (200, 200)

        await until(filled)
        await admin.create(policies(namespace), EMPTY_POLICY)
        assert (await admin.call("DELETE", f"/api/v1/namespaces/{namespace}"))[0] == 200

        async def gone() -> bool:
            return (await admin.call("GET", f"/api/v1/namespaces/{namespace}"))[0] == 404

        await until(gone)


async def test_quotas_are_counted_and_held(lab: Lab) -> None:
    async with api(lab.kubeconfig) as admin:
        namespace = await fresh_namespace(admin)
        quota = {"metadata": {"name": "q"}, "spec": {"hard": {"count/configmaps": "2"}}}
        await admin.create(f"/api/v1/namespaces/{namespace}/resourcequotas", quota)

        async def counted() -> bool:
            said = await admin.get(f"/api/v1/namespaces/{namespace}/resourcequotas/q")
            return bool(said["status"].get("used", {}).get("count/configmaps") == "1")

        await until(counted)
        await admin.create(f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": "a"}})
        code, answer = await admin.call(
            "POST", f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": "b"}}
        )
        assert (code, answer["reason"]) == (403, "Forbidden")


async def test_the_audit_log_keeps_every_state_of_a_policy_and_who_made_it(lab: Lab) -> None:
    log = AuditLog(*lab.audit_logs)
    log.skip()
    async with api(lab.kubeconfig) as admin:
        namespace = await fresh_namespace(admin)
        created = await admin.create(policies(namespace), EMPTY_POLICY)
        opened = {**created, "spec": {**created["spec"], "egress": [{}]}}
        code, updated = await admin.call("PUT", f"{policies(namespace)}/deny", opened)
        assert code == 200
        await admin.call("PUT", f"{policies(namespace)}/deny?dryRun=All", {**updated, "spec": created["spec"]})
        await admin.call("PUT", f"{policies(namespace)}/deny", created)  # refused: an old resourceVersion
        await admin.call("DELETE", f"{policies(namespace)}/deny")
    records = [r for r in log.read() if r.ref and (r.ref.resource, r.ref.namespace) == ("networkpolicies", namespace)]
    assert [(r.verb, r.code, r.changed_something) for r in records] == [
        ("create", 201, True),
        ("update", 200, True),
        ("update", 200, False),
        ("update", 409, False),
        ("delete", 200, True),
    ]
    assert {r.user for r in records} == {"admin"}
    assert [r.response_object["spec"] for r in records[:2] if r.response_object] == [created["spec"], updated["spec"]]
    assert [r.resource_version for r in records[:2]] == [
        int(created["metadata"]["resourceVersion"]),
        int(updated["metadata"]["resourceVersion"]),
    ]
    assert records[3].reason == "Conflict"
    assert records[3].request_object is not None


async def test_the_audit_log_holds_no_token_and_no_read_of_the_control_plane(lab: Lab) -> None:
    log = AuditLog(*lab.audit_logs)
    async with api(lab.kubeconfig) as admin:
        namespace = await fresh_namespace(admin)
        await admin.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "robot"}})
    kubeconfig = await lab.service_account_kubeconfig(namespace, "robot")
    records = log.read()
    tokens = [r for r in records if r.ref and r.ref.subresource == "token"]
    assert tokens
    assert all(r.request_object is None and r.response_object is None for r in tokens)
    token = kubeconfig.read_text().partition("token: ")[2].split()[0]
    assert token.encode() not in lab.audit_log.read_bytes()
    quiet = {"system:apiserver", "system:kube-controller-manager"}
    assert not [r for r in records if r.user in quiet and r.verb in {"get", "list", "watch"}]


def test_only_the_owner_can_read_what_opens_the_lab(lab: Lab) -> None:
    assert stat.S_IMODE(lab.data_dir.stat().st_mode) == 0o700
    secrets = [lab.kubeconfig, lab.kubeconfig_for("bob"), *(lab.data_dir / "pki").iterdir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
