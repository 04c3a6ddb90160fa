"""The example platform compiles to exactly these objects: reviewed as YAML, one file a namespace.

`DRIFTD_GOLDEN=write` writes the files anew; the difference is then read in the review.
"""

import os
from pathlib import Path

import yaml

from driftd.compile import Compiled, GovernedNamespace
from tests.support.models import compiled_example
from tests.support.stage import ROOT, compiled_models

GOLDEN = Path(__file__).parent / "golden"


def as_yaml(governed: GovernedNamespace) -> str:
    head = (
        f"# {governed.name}: tenant {governed.tenant}, lifecycle {governed.lifecycle}, mode {governed.mode}, "
        f"tenant policies {governed.tenant_policies}\n"
    )
    return head + yaml.safe_dump_all([desired.body() for desired in governed.objects.values()], sort_keys=False)


def test_the_example_compiles_to_what_was_reviewed() -> None:
    _compare(compiled_example(), GOLDEN)


def test_a_calico_platform_compiles_to_what_was_reviewed() -> None:
    _compare(compiled_models(ROOT / "tests" / "models" / "calico"), GOLDEN / "calico")


def _compare(compiled: Compiled, golden: Path) -> None:
    scopes = [one for one in compiled.every_scope() if one.objects]
    found = {f"{one.name or '(cluster)'}.yaml": as_yaml(one) for one in scopes}
    if os.environ.get("DRIFTD_GOLDEN") == "write":
        golden.mkdir(exist_ok=True)
        for stale in {path.name for path in golden.glob("*.yaml")} - found.keys():
            (golden / stale).unlink()
        for name, text in found.items():
            (golden / name).write_text(text)
    reviewed = {path.name: path.read_text() for path in golden.glob("*.yaml")}
    assert found == reviewed, "read the difference; if it is meant, write it with DRIFTD_GOLDEN=write"
