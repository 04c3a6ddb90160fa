"""The real API server that the tests of this folder share."""

import os
import sys
from collections.abc import Iterator

import pytest

from driftd.lab import Lab, ready_programs
from tests.support.control_plane import lacking, run_apart


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """One control plane for the whole session; a test that breaks parts starts a lab of its own.

    Its methods may be awaited from any loop. It never builds: a test's deadline is shorter than a build.
    """
    if ready_programs(os.environ) is None:
        lacking("control_plane", "etcd and kube-apiserver are not built yet; `driftd lab build` builds them")
    lab = run_apart(Lab.launch("tests", say=lambda line: print(line, file=sys.stderr)))
    yield lab
    run_apart(lab.close())
