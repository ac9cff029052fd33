"""A file that a process keeps young as long as it gets on, so that a probe need only look at the file's age."""

import os
import time
from pathlib import Path

BEAT_SECONDS = 1.0  # no more often: a training step takes milliseconds


class Heartbeat:
    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = file_of(directory, os.getpid())
        self._last = 0.0

    def beat(self) -> None:
        now = time.monotonic()
        if now - self._last >= BEAT_SECONDS:
            self._last = now
            self._file.touch()

    def end(self) -> None:
        """What has ended well is not mistaken for what hangs."""
        self._file.unlink(missing_ok=True)


def file_of(directory: Path, process: int) -> Path:
    return directory / str(process)
