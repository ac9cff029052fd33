"""Child processes that run one of our commands: started, watched, asked to end, and killed if they do not.

A child also ends when the process that started it has: killed by SIGKILL, that cannot ask it to.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from jobs.runtime import interrupt
from jobs.runtime.heartbeat import file_of

WATCH_SECONDS = 0.2
MOST_LINES = 1_000  # of its errors that are kept
READ_SECONDS = 1
GRACE_SECONDS = 30  # that a child has to save its progress once the process that started it has ended


class ChildProcess(subprocess.Popen[bytes]):
    """`python -m jobs` with these arguments, in our environment with these variables changed.

    With `on_line` its standard error stream is kept: each line is handed over as it comes, and the end of all is in
    `error_text` once it is taken. Without, the stream is ours.
    """

    def __init__(
        self, arguments: Sequence[str], changes: Mapping[str, object], on_line: Callable[[str], None] | None
    ) -> None:
        self._terminated, self._lines = False, deque[str](maxlen=MOST_LINES)
        changes = {"LAUNCHER_PID": os.getpid(), **changes}
        environment = {**os.environ, **{name: str(value) for name, value in changes.items()}}
        command = [sys.executable, "-m", "jobs", *arguments]
        stderr = None if on_line is None else subprocess.PIPE  # a file would be of no use where the disk is full
        super().__init__(command, stdin=subprocess.DEVNULL, stderr=stderr, env=environment)
        self._reader = threading.Thread(target=self._read, args=[on_line], name="errors", daemon=True)
        if on_line is not None:
            self._reader.start()

    def terminate(self) -> None:
        """Sends SIGTERM, but only once: a second one would kill a Python process that is about to exit."""
        if not self._terminated:
            self._terminated = True
            super().terminate()

    @property
    def error_text(self) -> str:
        return "".join(self._lines)

    def finish_reading(self) -> None:
        """To be called once the process has ended. What it has started itself may still hold the stream."""
        if self._reader.ident is not None:
            self._reader.join(READ_SECONDS)

    def _read(self, on_line: Callable[[str], None]) -> None:
        assert self.stderr is not None
        with self.stderr:
            for line in self.stderr:
                self._lines.append(line.decode(errors="replace"))
                on_line(self._lines[-1].rstrip("\n"))


class ChildProcesses:
    """Child processes that run side by side, each with an index. None of them outlives the `with` block.

    Args:
        grace_seconds: the time between SIGTERM and SIGKILL.
        heartbeat_dir: where they keep their heartbeat files, if they do. The file of a process that has ended is
            removed here, because one that was killed cannot do so, and a probe would take it for one that hangs.

    """

    def __init__(self, grace_seconds: float, heartbeat_dir: Path | None) -> None:
        self.running: dict[int, ChildProcess] = {}
        self._grace_seconds, self._heartbeat_dir = grace_seconds, heartbeat_dir

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(
        self,
        index: int,
        arguments: Sequence[str],
        changes: Mapping[str, object],
        on_line: Callable[[str], None] | None = None,
    ) -> ChildProcess:
        self.running[index] = ChildProcess(arguments, changes, on_line)
        return self.running[index]

    def take_ended(self) -> dict[int, ChildProcess]:
        """Removes those that have ended from `running` and returns them; their `returncode` is -N after signal N."""
        ended = {index: child for index, child in self.running.items() if child.poll() is not None}
        for index, child in ended.items():
            del self.running[index]
            child.finish_reading()
            if self._heartbeat_dir is not None:
                file_of(self._heartbeat_dir, child.pid).unlink(missing_ok=True)
        return ended

    def terminate(self) -> None:
        for child in self.running.values():
            child.terminate()

    def stop(self) -> dict[int, ChildProcess]:
        """Asks all to end and kills those that have not after the grace time. Returns those that were not killed."""
        self.terminate()
        deadline = time.monotonic() + self._grace_seconds
        for child in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=max(deadline - time.monotonic(), 0))
        ended = self.take_ended()
        for child in self.running.values():
            child.kill()
            child.wait()
        self.take_ended()
        return ended


def end_with_launcher(launcher: int) -> None:
    """Has this process end soon after the one that started it: as after SIGTERM, or at once if that takes too long."""

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(WATCH_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os._exit(interrupt.EXIT_INTERRUPTED)  # it may wait for another process that has ended already

    threading.Thread(target=watch, name="launcher", daemon=True).start()


def shell_exit_code(returncode: int) -> int:
    """An exit code as it is, and 128 + N after signal N, as a shell says it."""
    return returncode if returncode >= 0 else 128 - returncode
