"""How many cores this process may use: those of its container, not those of the node. Imports no torch."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CGROUPS = "sys/fs/cgroup"


def usable_cores(root: Path = Path("/")) -> int:
    """The smallest of two limits, rounded up: cores it may be scheduled on, and the quotas of its control groups.

    Args:
        root: the folder in which `proc/self/cgroup` and `sys/fs/cgroup` lie.

    """
    scheduled = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(math.ceil(min([scheduled, *_quotas(root)])), 1)


def threads_each(processes: int, root: Path = Path("/")) -> int:
    """How many threads each of so many processes gets when they share the cores, at least one."""
    return max(usable_cores(root) // processes, 1)


def _quotas(root: Path) -> Iterator[float]:
    """The quotas, in cores, of the control groups this process is in and of all groups above these."""
    memberships = root / "proc/self/cgroup"
    if not memberships.exists():  # not on Linux
        return
    for line in memberships.read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if not controllers:  # version 2
            for folder in _with_parents(root / CGROUPS, group):
                limit = folder / "cpu.max"
                if limit.exists():
                    quota, period = limit.read_text().split()
                    if quota != "max":
                        yield int(quota) / int(period)
        elif "cpu" in controllers.split(","):  # version 1
            for folder in _with_parents(root / CGROUPS / "cpu", group):
                limit = folder / "cpu.cfs_quota_us"
                if limit.exists() and (quota_us := int(limit.read_text())) > 0:
                    yield quota_us / int((folder / "cpu.cfs_period_us").read_text())


def _with_parents(mount: Path, group: str) -> Iterator[Path]:
    """The group's folder and those above it, up to the folder in which the groups are mounted.

    Some of them may not exist: in many containers the mount is the container's own group, while the path of the group
    is still the one it has on the node.
    """
    path = PurePosixPath(group.lstrip("/"))
    if ".." not in path.parts:
        yield from (mount / part for part in (path, *path.parents) if part != PurePosixPath())
    yield mount
