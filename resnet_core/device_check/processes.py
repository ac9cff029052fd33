"""Processes that are started for the check, of which each is `python -m resnet_core.device_check PROGRAM …`."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

PATIENCE_SECONDS = 60.0


class ProcessFailed(Exception):
    """A process has ended with an error, or does not answer; the message is the last line that it wrote."""


class Process:
    """`python -m resnet_core.device_check PROGRAM …` with arguments. Each line that it prints is an answer."""

    def __init__(self, program: str, arguments: Sequence[str], environment: Mapping[str, str] | None) -> None:
        command = [sys.executable, "-m", __package__, program, *arguments]
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)

    def read(self) -> str:
        """Its next line.

        Raises:
            ProcessFailed: it has ended, or has been silent for too long.

        """
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        watch = threading.Timer(PATIENCE_SECONDS, self._child.kill)
        watch.start()
        line = self._child.stdout.readline()
        silent = not watch.is_alive()
        watch.cancel()
        if silent:
            raise ProcessFailed(f"no answer within {PATIENCE_SECONDS:.0f} s")
        if not line:
            said = self._child.stderr.read().strip().splitlines()
            raise ProcessFailed(said[-1] if said else f"ended with code {self._child.wait()} and without a word")
        return line.strip()

    def go_on(self) -> None:
        """Tells it to go on, where it waits for a line."""
        assert self._child.stdin is not None
        self._child.stdin.write("\n")
        self._child.stdin.flush()

    def end(self) -> None:
        self._child.kill()
        self._child.communicate()


@contextmanager
def started(
    program: str, arguments: Sequence[Sequence[str]], environment: Mapping[str, str] | None = None
) -> Iterator[list[Process]]:
    """A process for each list of arguments. None outlives the `with` block."""
    processes: list[Process] = []
    try:
        for own in arguments:
            processes.append(Process(program, own, environment))
        yield processes
    finally:
        for process in processes:
            process.end()
