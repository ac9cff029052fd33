"""What is left when the cluster's processes have been told to go: containers, shims, mounts, cgroups, links."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from tests.cluster.single_node.layout import Layout
from tests.support.patience import poll


def tasks(layout: Layout) -> list[str]:
    """The containers that run; none where containerd does not."""
    listed = subprocess.run(layout.ctr("tasks", "ls", "--quiet"), capture_output=True, text=True, check=False)
    return listed.stdout.split()


def end_containers(layout: Layout) -> None:
    """For a cluster whose kubelet or API server could not do it."""
    for task in tasks(layout):
        subprocess.run(layout.ctr("tasks", "delete", "--force", task), capture_output=True, check=False)


def end_shims(layout: Layout) -> None:
    """A shim outlives its containerd, and what runs in it, too."""
    for pid in _shims(layout):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
    poll(lambda: not _shims(layout), 5)


def _shims(layout: Layout) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue  # gone meanwhile
        if Path(command[0]).name.startswith("containerd-shim") and str(layout.containerd_socket) in command:
            found.append(int(process.name))
    return found


def unmount(layout: Layout) -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if Path(mount).is_relative_to(layout.state)]):
        subprocess.run(["umount", "--lazy", mount], check=True)


def remove_cgroups() -> None:
    """With what still runs in them: if the shims are killed before the containers, nobody else ends these."""
    for top in Path("/sys/fs/cgroup").glob("**/kubepods"):
        for pid in _members(top):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        poll(lambda top=top: not _members(top), 5)
        for folder, _folders, _files in os.walk(top, topdown=False):
            Path(folder).rmdir()


def _members(cgroup: Path) -> list[int]:
    return [int(pid) for file in cgroup.glob("**/cgroup.procs") for pid in file.read_text().split()]


def remove_log_links(layout: Layout) -> None:
    """The one place outside its folders to which a kubelet writes whatever it is told."""
    folder = Path("/var/log/containers")
    for link in folder.glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(layout.state):
            link.unlink()
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()
