"""The example platform compiles to exactly these objects: reviewed as YAML, one file a namespace.

`DRIFTD_GOLDEN=write` writes the files anew; the difference is then read in the review.
"""

import os
from pathlib import Path

import yaml

from driftd.compile import GovernedNamespace
from tests.support.models import compiled_example

GOLDEN = Path(__file__).parent / "golden"


def as_yaml(governed: GovernedNamespace) -> str:
    head = (
        f"# {governed.name}: tenant {governed.tenant}, lifecycle {governed.lifecycle}, mode {governed.mode}, "
        f"tenant policies {governed.tenant_policies}\n"
    )
    return head + yaml.safe_dump_all([desired.body() for desired in governed.objects.values()], sort_keys=False)


def test_the_example_compiles_to_what_was_reviewed() -> None:
    found = {f"{name}.yaml": as_yaml(governed) for name, governed in compiled_example().governed.items()}
    if os.environ.get("DRIFTD_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        for stale in {path.name for path in GOLDEN.glob("*.yaml")} - found.keys():
            (GOLDEN / stale).unlink()
        for name, text in found.items():
            (GOLDEN / name).write_text(text)
    reviewed = {path.name: path.read_text() for path in GOLDEN.glob("*.yaml")}
    assert found == reviewed, "read the difference; if it is meant, write it with DRIFTD_GOLDEN=write"
