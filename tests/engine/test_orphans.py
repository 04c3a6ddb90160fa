"""Orphaned namespaces survive a restart unchanged."""

import pytest

from driftd.compile import GovernedNamespace, Mode
from driftd.engine.orphans import UnreadableOrphan, dump, load
from driftd.values import Desired, Digest, ObjectRef, Origin, pack

ORIGIN = Origin("environments/acme.yaml", 7, "Environment/acme-prod")
POLICY = Desired(
    ObjectRef("networking.k8s.io", "NetworkPolicy", "acme-prod", "default-deny"),
    pack(b'{"spec":{}}'),
    Digest(b"\x00\xff" * 8),
    ORIGIN,
)
ORPHAN = GovernedNamespace(
    name="acme-prod",
    tenant="acme",
    environment="acme-prod",
    lifecycle="create",
    mode=Mode.ENFORCE,
    kind_modes={"ResourceQuota": Mode.REPORT},
    tenant_policies="never",
    closed=True,
    origin=ORIGIN,
    objects={POLICY.ref: POLICY},
)


def test_a_dumped_namespace_loads_as_it_was() -> None:
    assert load(dump(ORPHAN)) == ORPHAN


def test_what_is_stored_holds_the_objects_own_bytes() -> None:
    """However they are packed in memory: another version of driftd reads them as well."""
    assert '"raw":"eyJzcGVjIjp7fX0="' in dump(ORPHAN)


@pytest.mark.parametrize(
    "value",
    ["", "{}", "[]", dump(ORPHAN)[:-1], dump(ORPHAN).replace("adopt", "x").replace("create", "x")],
)
def test_what_nobody_dumped_is_refused(value: str) -> None:
    with pytest.raises(UnreadableOrphan):
        load(value)
