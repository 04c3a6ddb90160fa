"""The real API server that the tests of this folder share, and a namespace of its own for each test."""

import os
import sys
from collections.abc import Iterator

import pytest

from driftd.lab import Lab, LabError, ready_programs
from tests.support.control_plane import lacking, required, run_apart


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """One control plane for the whole session; a test that breaks parts starts a lab of its own.

    Its methods may be awaited from any loop. Programs are built only if `DRIFTD_REQUIRE` names `control_plane`: a
    developer's quick run should not turn into a build of minutes.
    """
    if ready_programs(os.environ) is None and "control_plane" not in required():
        lacking("control_plane", "etcd and kube-apiserver are not built yet; `driftd lab up` builds them")
    try:
        lab = run_apart(Lab.launch("tests", say=lambda line: print(line, file=sys.stderr)))
    except LabError as error:
        lacking("control_plane", str(error))
    yield lab
    run_apart(lab.close())
