"""Processes that outlive the command that starts them, each with a log and a file that knows it again."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.patience import poll

_STARTED: list[subprocess.Popen[bytes]] = []  # for good: one that is let go while it runs warns of it


class ClusterError(Exception):
    pass


class Processes:
    def __init__(self, folder: Path) -> None:
        self.logs, self._pids = folder / "log", folder / "pid"

    def start(self, name: str, command: Sequence[str | Path], **environment: str) -> None:
        assert not self.runs(name), name
        self.logs.mkdir(exist_ok=True)
        self._pids.mkdir(exist_ok=True)
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **environment},
            )
        _STARTED.append(process)
        (self._pids / name).write_text(f"{process.pid} {_started(process.pid)}")

    def runs(self, name: str) -> bool:
        return self._pid(name) is not None

    def stop(self, name: str, patience: float = 3) -> None:
        """Asks, and insists after `patience` seconds; done as well where it does not run."""
        for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5)):
            pid = self._pid(name)
            if pid is None:
                return
            os.kill(pid, number)
            if poll(lambda: not self.runs(name), seconds):
                return
        raise ClusterError(f"{name} cannot be stopped")

    def await_(self, name: str, ready: Callable[[], bool], seconds: float) -> None:
        """Raises ClusterError with the end of the log when process `name` ends or is not ready in time."""
        if not poll(lambda: ready() or not self.runs(name), seconds) or not self.runs(name):
            log = self.logs / f"{name}.log"
            end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            how = f"is not ready after {seconds:.0f} s" if self.runs(name) else "has ended"
            raise ClusterError(f"{name} {how}; the end of {log}:\n{end}")

    def _pid(self, name: str) -> int | None:
        """A number alone may be another process by now: after a reboot it surely is."""
        try:
            pid, started = (self._pids / name).read_text().split()
            return int(pid) if _started(int(pid)) == started else None
        except FileNotFoundError:
            return None


def _started(pid: int) -> str:
    """The clock tick of its start; FileNotFoundError when it is gone (also as a zombie, which is waited for here)."""
    with contextlib.suppress(ChildProcessError):  # another command may have started it
        os.waitpid(pid, os.WNOHANG)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if fields[0] == "Z":
        raise FileNotFoundError(pid)
    return fields[19]
