"""Admission: one tenant's faults are that tenant's alone."""

from collections.abc import Callable, Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.model import Model, Problem, SourceFile, admit
from tests.support.model_texts import CLUSTER, PLAN, environment, files

TENANTS = ("acme", "globex", "initech", "umbrella")
PLATFORM = {"cluster.yaml": CLUSTER, "plans.yaml": PLAN}


def revision(overrides: Mapping[str, str | None] | None = None, *, port: int = 8080) -> tuple[SourceFile, ...]:
    """A platform with two files a tenant; `overrides` replaces texts by path, None deletes."""
    texts: dict[str, str | None] = dict(PLATFORM)
    for tenant in TENANTS:
        texts[f"{tenant}/prod.yaml"] = environment(f"{tenant}-prod", tenant, port=port)
        texts[f"{tenant}/stage.yaml"] = environment(f"{tenant}-stage", tenant, port=port)
    texts.update(overrides or {})
    return files({path: text for path, text in texts.items() if text is not None})


def text_of(admitted_files: tuple[SourceFile, ...], path: str) -> bytes | None:
    return next((file.data for file in admitted_files if file.path == path), None)


def test_a_clean_revision_is_in_force_as_it_is() -> None:
    new = revision(port=9000)
    admitted = admit(new, revision())
    assert admitted.held == ""
    assert admitted.quarantined == {}
    assert set(admitted.files) == set(new)
    assert admitted.model is not None


def test_all_files_of_a_broken_tenant_go_back_and_nobody_elses() -> None:
    old = revision()
    new = revision({"acme/prod.yaml": environment("acme-prod", "acme").replace("plan:", "paln:")}, port=9000)
    admitted = admit(new, old)
    assert set(admitted.quarantined) == {"acme"}
    assert text_of(admitted.files, "acme/stage.yaml") == text_of(old, "acme/stage.yaml")
    assert text_of(admitted.files, "acme/prod.yaml") == text_of(old, "acme/prod.yaml")
    assert text_of(admitted.files, "globex/prod.yaml") == text_of(new, "globex/prod.yaml")
    assert {problem.field for problem in admitted.quarantined["acme"]} == {"spec.plan", "spec.paln"}


def test_an_unreadable_file_is_its_last_owners() -> None:
    admitted = admit(revision({"acme/prod.yaml": "a: [1,"}), revision())
    assert set(admitted.quarantined) == {"acme"}
    assert admitted.held == ""


def test_an_unreadable_file_that_nobody_owned_holds_the_revision() -> None:
    old = revision()
    admitted = admit(revision({"new.yaml": "a: [1,"}, port=9000), old)
    assert "new.yaml" in admitted.held
    assert set(admitted.files) == set(old)
    assert admitted.model is not None


def test_a_broken_file_cannot_push_its_fault_onto_the_tenant_it_names() -> None:
    stolen = environment("acme-prod", "globex").replace("plan:", "paln:")
    admitted = admit(revision({"acme/prod.yaml": stolen}), revision())
    assert set(admitted.quarantined) == {"acme"}


def test_a_broken_platform_file_holds_the_revision() -> None:
    for path, text in (("cluster.yaml", CLUSTER.replace("ranges:", "rnages:")), ("plans.yaml", "x: [")):
        admitted = admit(revision({path: text}, port=9000), revision())
        assert path in admitted.held
        assert set(admitted.files) == set(revision())


def test_a_removed_plan_holds_the_revision_because_no_tenant_did_it() -> None:
    admitted = admit(revision({"plans.yaml": PLAN.replace("name: shared", "name: other")}), revision())
    assert "shared" in admitted.held


def test_a_model_without_cluster_is_held() -> None:
    admitted = admit(revision({"cluster.yaml": None}), revision())
    assert "Cluster" in admitted.held


def test_who_claims_anothers_namespace_is_quarantined_alone() -> None:
    thief = environment("zz", "initech", namespace="acme-prod")
    admitted = admit(revision({"initech/zz.yaml": thief}, port=9000), revision())
    assert set(admitted.quarantined) == {"initech"}


def test_who_takes_anothers_name_is_quarantined_alone_wherever_its_file_sorts() -> None:
    for path in ("aaa/initech.yaml", "zzz/initech.yaml"):
        admitted = admit(revision({path: environment("acme-prod", "initech")}, port=9000), revision())
        assert set(admitted.quarantined) == {"initech"}
        assert text_of(admitted.files, "acme/prod.yaml") == text_of(revision(port=9000), "acme/prod.yaml")


def test_a_tenant_that_is_gone_is_not_quarantined() -> None:
    admitted = admit(revision({"acme/prod.yaml": None, "acme/stage.yaml": None}), revision())
    assert admitted.quarantined == {}
    assert text_of(admitted.files, "acme/prod.yaml") is None


def test_a_tenant_without_a_last_good_version_is_left_out() -> None:
    admitted = admit(revision({"acme/prod.yaml": environment("acme-prod", "acme").replace("plan:", "paln:")}), None)
    assert set(admitted.quarantined) == {"acme"}
    assert admitted.model is not None
    assert set(admitted.model.tenants().values()) == {"globex", "initech", "umbrella"}


def test_tenants_who_share_a_file_go_back_together() -> None:
    shared = environment("acme-x", "acme") + "---\n" + environment("globex-x", "globex")
    old = revision({"both.yaml": shared})
    new = revision({"both.yaml": shared.replace("plan:", "paln:", 1)}, port=9000)
    assert set(admit(new, old).quarantined) == {"acme", "globex"}


def test_a_tenants_file_with_platform_documents_cannot_go_back_alone() -> None:
    mixed = environment("acme-x", "acme") + "---\n" + PLAN.replace("name: shared", "name: own")
    old = revision({"acme/mixed.yaml": mixed})
    new = revision({"acme/mixed.yaml": mixed, "acme/prod.yaml": "["}, port=9000)
    assert "platform" in admit(new, old).held


def test_warnings_never_quarantine() -> None:
    lonely = (
        environment("acme-prod", "acme").replace("expose:", "#").replace("- {port: http, host", "# {port: http, host")
    )
    admitted = admit(revision({"acme/prod.yaml": lonely}), revision())
    assert admitted.quarantined == {}
    assert [problem.severity for problem in admitted.problems] == ["warning"]


FAULTS = st.sampled_from(
    [
        lambda text: text.replace("plan: shared", "plan: none-such"),
        lambda text: text.replace("plan:", "paln:"),
        lambda text: text + "\n\t- [",
        lambda text: text.replace("8080", "99999"),
        lambda text: "\x00" + text,
        lambda text: text.replace("tenant:", "tenant: &a"),
        lambda text: text.replace("kind: Environment", "kind: Enviroment"),
        lambda text: text + "---\n- just a list\n",
    ]
)


@settings(max_examples=60, deadline=None)
@given(
    faults=st.dictionaries(
        st.tuples(st.sampled_from(TENANTS), st.sampled_from(["prod", "stage"])), FAULTS, min_size=1, max_size=4
    ),
    gone=st.sets(st.sampled_from(TENANTS), max_size=2),
)
def test_the_files_in_force_are_the_new_ones_but_for_the_broken_tenants(
    faults: Mapping[tuple[str, str], Callable[[str], str]], gone: set[str]
) -> None:
    old, fresh = revision(), revision(port=9000)
    texts: dict[str, str | None] = {}
    for tenant in gone:
        texts |= {f"{tenant}/prod.yaml": None, f"{tenant}/stage.yaml": None}
    for (tenant, name), spoil in faults.items():
        texts[f"{tenant}/{name}.yaml"] = spoil(environment(f"{tenant}-{name}", tenant, port=8080))
    new = revision(texts, port=9000)
    broken = {tenant for tenant, _ in faults}
    admitted = admit(new, old)
    assert admitted.held == ""
    assert set(admitted.quarantined) == broken
    for file in admitted.files:
        tenant = file.path.split("/")[0]
        assert file in (old if tenant in broken else new)
    for tenant in TENANTS:
        wanted = old if tenant in broken else new
        assert {f for f in admitted.files if f.path.startswith(tenant)} == {
            f for f in wanted if f.path.startswith(tenant)
        }
    assert fresh


def test_a_further_judge_is_heard_and_its_errors_are_one_tenants_too() -> None:
    def no_port_666(model: Model) -> tuple[Problem, ...]:
        return tuple(
            Problem("error", model.origin("Environment", name).file, 1, 1, "spec", "port 666", "use another")
            for name, one in model.environments.items()
            if any(port.number == 666 for service in one.services.values() for port in service.ports.values())
        )

    new = revision({"globex/prod.yaml": environment("globex-prod", "globex", port=666)}, port=9000)
    admitted = admit(new, revision(), further=no_port_666)
    assert set(admitted.quarantined) == {"globex"}
    assert admitted.held == ""
    assert text_of(admitted.files, "acme/prod.yaml") == text_of(new, "acme/prod.yaml")


def test_a_moved_namespace_with_two_claimants_sends_both_back() -> None:
    texts = {
        "acme/prod.yaml": environment("acme-prod", "acme", namespace="shop"),
        "globex/prod.yaml": environment("globex-prod", "globex", namespace="shop"),
    }
    admitted = admit(revision(texts), revision())
    assert set(admitted.quarantined) == {"acme", "globex"}


def test_an_innocent_change_beside_anothers_theft_goes_on() -> None:
    texts = {"initech/zz.yaml": environment("zz", "initech", namespace="acme-prod")}
    new = revision(texts, port=9001)
    admitted = admit(new, revision(port=9000))
    assert set(admitted.quarantined) == {"initech"}
    assert text_of(admitted.files, "acme/prod.yaml") == text_of(new, "acme/prod.yaml")


@settings(max_examples=40, deadline=None)
@given(
    thefts=st.dictionaries(st.sampled_from(TENANTS[:2]), st.sampled_from(TENANTS[2:]), min_size=1),
    by_name=st.booleans(),
    before=st.booleans(),
)
def test_thieves_of_names_and_namespaces_are_found_among_changed_tenants(
    thefts: Mapping[str, str], by_name: bool, before: bool
) -> None:
    texts = {}
    for thief, victim in thefts.items():
        stolen = (
            environment(f"{victim}-prod", thief) if by_name else environment(thief, thief, namespace=f"{victim}-prod")
        )
        texts[f"{'a' if before else 'z'}/{thief}.yaml"] = stolen
    new = revision(texts, port=9000)
    admitted = admit(new, revision())
    assert admitted.held == ""
    assert set(admitted.quarantined) == set(thefts)
    for victim in TENANTS[2:]:
        assert text_of(admitted.files, f"{victim}/prod.yaml") == text_of(new, f"{victim}/prod.yaml")
