"""The lab with two nodes that the tests of this folder share."""

import os
import sys
from collections.abc import Iterator

import pytest

from driftd.lab import Lab, LabOptions, lacks, ready_node_programs, ready_programs
from tests.support.control_plane import lacking, run_apart


@pytest.fixture(scope="session")
def able() -> None:
    """Skip, or fail where it is required, unless this machine can have nodes now. Nothing is built here."""
    for lack in lacks(os.environ):
        lacking("node", lack)
    if ready_programs(os.environ) is None or ready_node_programs(os.environ) is None:
        lacking("node", "the programs of nodes are not built yet; `driftd lab build --nodes` builds them")


@pytest.fixture(scope="session")
def lab(able: None) -> Iterator[Lab]:
    """Two nodes for the whole session; a test that breaks nodes starts a lab of its own."""
    lab = run_apart(Lab.launch("nodes", options=LabOptions(nodes=2), say=lambda line: print(line, file=sys.stderr)))
    yield lab
    run_apart(lab.close())
