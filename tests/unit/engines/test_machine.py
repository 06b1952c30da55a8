"""What a machine has, read from files as different kernels write them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dais.engines.local.machine import cores, memory

GIB = 1 << 30


class Kernel:
    """A directory that looks like the root of a machine with 16 GiB."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/meminfo", f"MemTotal:       {16 << 20} kB\nMemFree: 1 kB\n")
        self.write("proc/self/cgroup", "")
        self.write("proc/self/mountinfo", "")

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def unified(self, group: str = "/user.slice/dais.service") -> str:
        self.write("proc/self/cgroup", f"0::{group}\n")
        self.write(
            "proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
        )
        return f"sys/fs/cgroup{group}"

    def separate(self, group: str = "/dais", mounted: str = "/") -> None:
        self.write("proc/self/cgroup", f"5:memory:{group}\n3:cpu,cpuacct:{group}\n0::/\n")
        self.write(
            "proc/self/mountinfo",
            f"31 25 0:27 {mounted} /cg/memory rw - cgroup cgroup rw,memory\n"
            f"32 25 0:28 {mounted} /cg/cpu rw master:3 - cgroup cgroup rw,cpu,cpuacct\n"
            "33 25 0:29 / /cg/unified rw - cgroup2 none rw\n",
        )


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def test_without_control_groups_the_whole_machine(kernel: Kernel) -> None:
    assert memory(root=kernel.root) == 16 * GIB
    assert cores(kernel.root) == len(os.sched_getaffinity(0))


def test_affinity_bounds_the_cores(kernel: Kernel) -> None:
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        pytest.skip("needs two cores")
    os.sched_setaffinity(0, {min(before)})
    try:
        assert cores(kernel.root) == 1
    finally:
        os.sched_setaffinity(0, before)


def test_unified_limits_of_the_group_and_those_above_it(kernel: Kernel) -> None:
    group = kernel.unified()
    kernel.write(f"{group}/memory.max", "max\n")
    kernel.write(f"{group}/cpu.max", "50000 100000\n")
    kernel.write("sys/fs/cgroup/user.slice/memory.max", f"{4 * GIB}\n")
    kernel.write("sys/fs/cgroup/user.slice/cpu.max", "max 100000\n")
    assert memory(root=kernel.root) == 4 * GIB
    assert cores(kernel.root) == 0.5


def test_separate_hierarchies(kernel: Kernel) -> None:
    kernel.separate()
    kernel.write("cg/memory/dais/memory.limit_in_bytes", f"{3 * GIB}\n")
    kernel.write("cg/memory/memory.limit_in_bytes", "9223372036854771712\n")
    kernel.write("cg/cpu/dais/cpu.cfs_quota_us", "-1\n")
    kernel.write("cg/cpu/dais/cpu.cfs_period_us", "100000\n")
    assert memory(root=kernel.root) == 3 * GIB
    assert cores(kernel.root) == len(os.sched_getaffinity(0))
    kernel.write("cg/cpu/dais/cpu.cfs_quota_us", "25000\n")
    assert cores(kernel.root) == 0.25


def test_a_hierarchy_that_is_mounted_from_the_own_group_on(kernel: Kernel) -> None:
    kernel.separate("/docker/abc", mounted="/docker/abc")
    kernel.write("cg/memory/memory.limit_in_bytes", f"{2 * GIB}\n")
    assert memory(root=kernel.root) == 2 * GIB


def test_the_reserve_is_not_offered_but_something_is(kernel: Kernel) -> None:
    assert memory(GIB, root=kernel.root) == 15 * GIB
    assert memory(100 * GIB, root=kernel.root) == 64 << 20


def test_this_machine() -> None:
    assert 0 < cores() <= (os.cpu_count() or 1)
    assert memory() > 64 << 20
