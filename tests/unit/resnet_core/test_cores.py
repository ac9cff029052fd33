import os
from pathlib import Path

import pytest

from resnet_core.cores import threads_each, usable_cores


@pytest.fixture(autouse=True)
def _sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(16)))


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2, V1 = "0::/\n", "4:cpu,cpuacct:/\n3:memory:/\n0::/\n"
CGROUP, CPU = "sys/fs/cgroup", "sys/fs/cgroup/cpu"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 16),
        ({"proc/self/cgroup": V2}, 16),
        ({"proc/self/cgroup": V2, f"{CGROUP}/cpu.max": "max 100000\n"}, 16),
        ({"proc/self/cgroup": V2, f"{CGROUP}/cpu.max": "400000 100000\n"}, 4),
        ({"proc/self/cgroup": V2, f"{CGROUP}/cpu.max": "150000 100000\n"}, 2),
        ({"proc/self/cgroup": V2, f"{CGROUP}/cpu.max": "10000 100000\n"}, 1),
        ({"proc/self/cgroup": V2, f"{CGROUP}/cpu.max": "6400000 100000\n"}, 16),
        ({"proc/self/cgroup": V1, f"{CPU}/cpu.cfs_quota_us": "-1\n", f"{CPU}/cpu.cfs_period_us": "100000\n"}, 16),
        ({"proc/self/cgroup": V1, f"{CPU}/cpu.cfs_quota_us": "250000\n", f"{CPU}/cpu.cfs_period_us": "50000\n"}, 5),
    ],
)
def test_cores_are_those_of_the_quota(tmp_path: Path, files: dict[str, str], cores: int) -> None:
    assert usable_cores(write(tmp_path, files)) == cores


def test_limit_of_a_group_holds_for_those_below_it(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/kubepods.slice/pod7/container\n",
        f"{CGROUP}/kubepods.slice/cpu.max": "1200000 100000\n",
        f"{CGROUP}/kubepods.slice/pod7/cpu.max": "300000 100000\n",
        f"{CGROUP}/kubepods.slice/pod7/container/cpu.max": "max 100000\n",
    }
    assert usable_cores(write(tmp_path, files)) == 3


@pytest.mark.parametrize("group", ["/docker/5c6fd7", "/../../pod7"])
def test_group_that_is_not_below_the_mount_is_the_mount_itself(tmp_path: Path, group: str) -> None:
    files = {
        "proc/self/cgroup": f"4:cpu,cpuacct:{group}\n",
        f"{CPU}/cpu.cfs_quota_us": "200000\n",
        f"{CPU}/cpu.cfs_period_us": "100000\n",
    }
    assert usable_cores(write(tmp_path, files)) == 2


@pytest.mark.parametrize(("processes", "threads"), [(1, 5), (2, 2), (3, 1), (8, 1)])
def test_threads_of_all_processes_are_no_more_than_the_cores(tmp_path: Path, processes: int, threads: int) -> None:
    files = {"proc/self/cgroup": V2, f"{CGROUP}/cpu.max": "500000 100000\n"}
    assert threads_each(processes, write(tmp_path, files)) == threads


def test_fewer_cores_to_be_scheduled_on_are_fewer_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {3, 5})
    files = {"proc/self/cgroup": V2, f"{CGROUP}/cpu.max": "500000 100000\n"}
    assert usable_cores(write(tmp_path, files)) == 2
