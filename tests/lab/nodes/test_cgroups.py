"""Which cgroups a machine has, told from mount tables as different distributions have them."""

from pathlib import Path

from driftd.lab.nodes.cgroups import hierarchies

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
