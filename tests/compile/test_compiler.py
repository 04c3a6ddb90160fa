"""The compiler as a whole: determinism, modes, plain manifests, coverage, and what it refuses."""

import gc
import random
import sys
import tracemalloc
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.compile import Compiled, CompileError, Mode, compile_model
from driftd.model import SourceFile
from driftd.model.kinds import MANIFEST_KINDS
from driftd.policy.kinds import KINDS, digest_of, kind_of
from driftd.values import PROVENANCE, ObjectRef
from tests.support.models import CLUSTER, PLAN, compiled_example, example_files, model_of, written

ENVIRONMENT = """
apiVersion: driftd.dev/v1alpha1
kind: Environment
metadata: {name: shop}
spec: {tenant: acme, plan: shared, services: {web: {labels: {app: web}}}}
"""
LEGACY = """
apiVersion: v1
kind: Namespace
metadata: {name: legacy, labels: {driftd.dev/tenant: acme, team: blue}, annotations: {note: x}}
"""
POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: extra, namespace: shop, annotations: {note: kept}, labels: {app: x}}
spec:
  podSelector: {}
  ingress: [{from: [{namespaceSelector: {matchLabels: {zone: a}, matchExpressions: [{key: tier, operator: Exists}]}}]}]
"""


def bytes_of(compiled: Compiled, *namespaces: str) -> dict[ObjectRef, tuple[bytes, bytes]]:
    return {
        ref: (desired.raw, desired.digest)
        for name, governed in compiled.governed.items()
        if name in (namespaces or compiled.governed)
        for ref, desired in governed.objects.items()
    }


SETS = {
    "calls",
    "expose",
    "denyCIDRs",
    "platformNamespaces",
    "pods",
    "services",
    "nodes",
    "apiServer",
    "apiServerPorts",
}


def turned(value: Any, order: random.Random, key: str = "") -> Any:
    """The same document with its maps, and the lists that are sets, in another order."""
    if isinstance(value, dict):
        entries = list(value.items())
        order.shuffle(entries)
        return {inner: turned(one, order, inner) for inner, one in entries}
    if isinstance(value, list) and key in SETS:
        return order.sample(value, len(value))
    return value


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_comments_and_order_change_no_object(seed: int) -> None:
    order = random.Random(seed)
    files = []
    for file in example_files():
        if file.path.startswith("falco/") or not file.path.endswith(".yaml"):
            files.append(file)
            continue
        documents = [turned(document, order) for document in yaml.safe_load_all(_quoted(file.data))]
        text = "# another comment\n\n" + yaml.safe_dump_all(documents, sort_keys=False)
        files.append(SourceFile(file.path, text.encode()))
    order.shuffle(files)
    assert bytes_of(compile_model(model_of(tuple(files)))) == bytes_of(compiled_example())


def _quoted(data: bytes) -> str:
    """Dates stay text when PyYAML reads them."""
    return data.decode().replace("until: 2027-06-30", "until: '2027-06-30'")


def test_another_tenants_file_changes_no_object() -> None:
    fewer = tuple(file for file in example_files() if "globex" not in file.path)
    mine = ("acme-prod", "acme-stage", "initech-prod", "initech-legacy")
    assert bytes_of(compile_model(model_of(fewer)), *mine) == bytes_of(compiled_example(), *mine)


def test_every_object_carries_its_provenance_and_nothing_about_time() -> None:
    for governed in compiled_example().governed.values():
        for desired in governed.objects.values():
            metadata = desired.body()["metadata"]
            assert metadata["annotations"][PROVENANCE] == desired.origin.provenance
            assert str(desired.origin.line) not in desired.origin.provenance.split("#")[0]


def test_the_digest_is_that_of_the_bytes() -> None:
    compiled = compiled_example()
    for governed in compiled.governed.values():
        for ref, desired in governed.objects.items():
            assert digest_of(kind_of(ref), desired.body(), compiled.coverage) == desired.digest


def test_objects_come_in_the_order_of_creation() -> None:
    for governed in compiled_example().governed.values():
        ranks = [kind_of(ref).rank for ref in governed.objects]
        assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    ("cluster", "plan", "environment", "expected"),
    [
        (None, None, None, Mode.REPORT),
        ("enforce", None, None, Mode.ENFORCE),
        ("enforce", "report", None, Mode.REPORT),
        ("enforce", None, "report", Mode.REPORT),
        ("enforce", "report", "enforce", Mode.REPORT),
        ("report", "enforce", "enforce", Mode.REPORT),
        ("enforce", "enforce", "enforce", Mode.ENFORCE),
    ],
)
def test_report_beats_enforce(cluster: str | None, plan: str | None, environment: str | None, expected: Mode) -> None:
    def said(mode: str | None) -> str:
        return f"remediation: {{mode: {mode}}}" if mode else "remediation: {}"

    model = written(
        ENVIRONMENT.replace("plan: shared", f"plan: shared, {said(environment)}"),
        cluster=f"{CLUSTER}  {said(cluster)}\n",
        plan=PLAN.replace("egress:", f"{said(plan)}, egress:"),
    )
    assert compile_model(model).governed["shop"].mode is expected


def test_a_kind_that_reports_beats_a_cluster_that_enforces_and_never_the_other_way() -> None:
    kinds = "remediation: {mode: enforce, kinds: {ServiceAccount: report, NetworkPolicy: enforce}}"
    governed = compile_model(written(ENVIRONMENT, cluster=f"{CLUSTER}  {kinds}\n")).governed["shop"]
    assert governed.mode_of("ServiceAccount") is Mode.REPORT
    assert governed.mode_of("NetworkPolicy") is Mode.ENFORCE
    reporting = kinds.replace("mode: enforce", "mode: report")
    governed = compile_model(written(ENVIRONMENT, cluster=f"{CLUSTER}  {reporting}\n")).governed["shop"]
    assert governed.mode_of("NetworkPolicy") is Mode.REPORT


def test_tokens_are_off_unless_a_service_of_the_account_needs_the_api_server() -> None:
    services = "{a: {serviceAccount: one}, b: {serviceAccount: two, apiServer: true}, c: {serviceAccount: two}}"
    compiled = compile_model(written(ENVIRONMENT.replace("{web: {labels: {app: web}}}", services)))
    mounts = {
        ref.name: desired.body()["automountServiceAccountToken"]
        for ref, desired in compiled.governed["shop"].objects.items()
        if ref.kind == "ServiceAccount"
    }
    assert mounts == {"default": False, "one": False, "two": True}


def test_without_quota_or_limits_there_is_no_such_object() -> None:
    kinds = {ref.kind for ref in compile_model(written(ENVIRONMENT)).governed["shop"].objects}
    assert kinds == {"Namespace", "NetworkPolicy", "ServiceAccount"}


def test_a_namespace_of_manifests_holds_its_manifests_word_for_word_and_nothing_else() -> None:
    compiled = compile_model(written(LEGACY, ENVIRONMENT, POLICY))
    legacy = compiled.governed["legacy"]
    assert (legacy.tenant, legacy.environment, legacy.closed) == ("acme", "", True)
    assert [str(ref) for ref in legacy.objects] == ["Namespace legacy"]
    extra = compiled.governed["shop"].objects[ObjectRef("networking.k8s.io", "NetworkPolicy", "shop", "extra")]
    written_out = yaml.safe_load(POLICY)
    written_out["metadata"]["annotations"][PROVENANCE] = "documents-2.yaml#NetworkPolicy/shop/extra"
    assert extra.body() == written_out


def test_coverage_follows_the_selectors_and_the_namespace_manifests() -> None:
    adopted = ENVIRONMENT.replace("shop", "taken").replace("plan:", "namespace: {lifecycle: adopt}, plan:")
    coverage = compile_model(written(LEGACY, ENVIRONMENT, POLICY, adopted)).coverage
    assert coverage.created == {"shop"}
    assert coverage.selector_keys == {"zone", "tier"}
    assert coverage.named_keys == {"legacy": frozenset({"driftd.dev/tenant", "team", "note"})}


def test_a_manifest_may_not_take_the_name_of_a_compiled_object() -> None:
    with pytest.raises(CompileError, match="NetworkPolicy shop/default-deny is already what") as caught:
        compile_model(written(ENVIRONMENT, POLICY.replace("name: extra", "name: default-deny")))
    (problem,) = caught.value.problems
    assert (problem.file, problem.others) == ("documents-1.yaml", ("documents-0.yaml",))


def test_all_faults_are_told_at_once() -> None:
    calls = ENVIRONMENT.replace(
        "{app: web}}", "{app: web}, expose: [{port: x, host: a.b}], calls: [{to: nobody}, {to: shared/nothing}]}"
    )
    broken = POLICY.replace("podSelector: {}", "egress: [[]]")
    stray = POLICY.replace("namespace: shop", "namespace: elsewhere")
    with pytest.raises(CompileError) as caught:
        compile_model(written(calls, broken, stray))
    told = [str(problem) for problem in caught.value.problems]
    assert len(told) == 5
    for words in ("'nobody'", "SharedService 'nothing'", "no port 'x'", "expected a rule", "does not govern"):
        assert any(words in one for one in told)


def test_a_call_that_the_shared_service_does_not_permit_opens_nothing() -> None:
    shared = """
    apiVersion: driftd.dev/v1alpha1
    kind: SharedService
    metadata: {name: logs}
    spec: {namespace: platform, labels: {app: collector}, port: 9000, callers: {tenants: [globex]}}
    """
    calls = ENVIRONMENT.replace("{app: web}}", "{app: web}, calls: [{to: shared/logs}]}")
    with pytest.raises(CompileError, match="does not permit tenant 'acme'"):
        compile_model(written(shared, calls))


def test_the_models_manifest_kinds_are_the_governed_kinds() -> None:
    assert MANIFEST_KINDS.keys() == KINDS.keys()
    for pair, kind in MANIFEST_KINDS.items():
        assert KINDS[pair].resource.api_version == kind.api_version


def test_exemptions_and_the_mass_change_guard_are_carried_over() -> None:
    compiled = compiled_example()
    (exempt,) = compiled.exemptions
    assert (exempt.ref.name, exempt.owner) == ("debug-shell", "platform")
    assert (compiled.mass_objects, compiled.mass_percent) == (20, 10)
    assert (compiled.cluster, compiled.dialect) == ("shared-eu-1", "kubernetes")


def test_objects_are_kept_packed_and_not_in_the_encoders_buffers() -> None:
    model = model_of(example_files())
    compile_model(model)
    tracemalloc.start()
    try:
        compiled = compile_model(model)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    objects = [desired for governed in compiled.governed.values() for desired in governed.objects.values()]
    assert held < 1.3 * sum(sys.getsizeof(desired.raw) for desired in objects)
