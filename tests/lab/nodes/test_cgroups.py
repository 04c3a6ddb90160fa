"""Which cgroups a machine has, told from mount tables as different distributions have them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from driftd.lab.nodes import cgroups
from driftd.lab.nodes.cgroups import hierarchies
from tests.support.control_plane import lacking

HYBRID = """\
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup /somewhere/else/memory cgroup rw,relatime,memory 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
"""
UNIFIED = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\nproc /proc proc rw 0 0\n"


def test_a_hierarchy_that_is_mounted_twice_counts_once() -> None:
    old, unified = hierarchies(HYBRID)
    assert old == (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/memory"))
    assert unified == Path("/sys/fs/cgroup/unified")


def test_a_unified_tree_has_no_old_hierarchies_and_a_machine_without_cgroups_has_nothing() -> None:
    assert hierarchies(UNIFIED) == ((), Path("/sys/fs/cgroup"))
    assert hierarchies("proc /proc proc rw 0 0\n") == ((), None)


@pytest.mark.parametrize("claimed", [True, False])
def test_the_script_removes_a_subtree_only_while_no_other_lab_has_claimed_its_name(claimed: bool) -> None:
    name = f"driftd-test-{os.getpid()}"
    try:
        cgroups.make(f"{name}/node-1")
    except OSError as error:
        lacking("root", f"no cgroup can be made here: {error}")
    script = [sys.executable, "-I", cgroups.__file__, name, name]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as claim:
        if claimed:
            claim.bind(f"\0{name}")
        try:
            assert subprocess.run(script, check=False, timeout=60).returncode == 0
            left = [*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}")]
            assert bool(left) is claimed
        finally:
            cgroups.remove(name)
