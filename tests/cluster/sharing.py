"""What processes of pytest share that run the tests of the cluster side by side: the cluster, and its only node.

In a folder that the processes have in common, files are locked; a lock ends with its process, whatever becomes of that.
"""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.cluster.choice import chosen_cluster
from tests.cluster.kubernetes_cluster import Cluster


@contextmanager
def shared_cluster(common: Path, folder: Path) -> Iterator[Cluster]:
    """The first process starts it, and ends it when no other uses it any more. `folder` is for the process's own files."""
    with ExitStack() as running:
        with ExitStack() as use:
            with locked(common / "cluster-starts-or-ends"):
                cluster = running.enter_context(chosen_cluster(folder))
                use.enter_context(locked(common / "cluster-in-use", shared=True))
            yield cluster
        with locked(common / "cluster-starts-or-ends"), locked(common / "cluster-in-use"):
            running.close()


@contextmanager
def locked(file: Path, *, shared: bool = False) -> Iterator[None]:
    """Waits for all who have locked it; where both are `shared`, neither waits for the other."""
    with file.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
