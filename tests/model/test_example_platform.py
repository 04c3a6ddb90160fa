"""The example platform is what it says it is: valid, free of warnings, and fit for editors."""

from datetime import date
from pathlib import Path

import pytest

from driftd.model import SourceFile, admit, lint, load

ROOT = Path(__file__).resolve().parents[2] / "models"
PATHS = sorted(path for path in ROOT.rglob("*") if path.is_file())
FILES = tuple(SourceFile(path.relative_to(ROOT).as_posix(), path.read_bytes()) for path in PATHS)


def test_it_loads_and_lints_without_a_word() -> None:
    found = load(FILES)
    assert found.problems == ()
    assert found.model is not None
    assert lint(found.model, date(2026, 11, 22)) == ()


def test_it_shows_three_tenants_five_environments_and_a_namespace_in_plain_manifests() -> None:
    found = load(FILES).model
    assert found is not None
    assert len(found.environments) == 5
    assert set(found.tenants().values()) == {"acme", "globex", "initech"}
    assert set(found.namespace_manifests()) == {"initech-legacy"}
    assert set(found.plans) == {"shared", "business"}
    assert len(found.exemptions) == 1
    assert found.cluster.spec.remediation.mode == "enforce"


def test_every_environment_offers_one_web_service() -> None:
    found = load(FILES).model
    assert found is not None
    for environment in found.environments.values():
        assert sum(bool(service.expose) for service in environment.services.values()) == 1


def test_it_is_admitted_as_it_is() -> None:
    admitted = admit(FILES, None)
    assert (admitted.held, admitted.quarantined, admitted.problems) == ("", {}, ())


@pytest.mark.parametrize("path", [path for path in PATHS if path.suffix == ".yaml"], ids=lambda path: path.name)
def test_documents_point_editors_at_a_schema_that_is_there(path: Path) -> None:
    text = path.read_text()
    if "driftd.dev/v1alpha1" not in text:
        return
    header = text.splitlines()[0]
    assert header.startswith("# yaml-language-server: $schema=")
    assert (path.parent / header.partition("=")[2]).resolve().is_file()
