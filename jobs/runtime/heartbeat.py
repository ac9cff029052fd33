"""A file that a process touches while it makes progress, so that a probe finds a hang by the file's age."""

import os
import time
from pathlib import Path

BEAT_SECONDS = 1.0  # at most so often, because a training step takes only milliseconds


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
        """Removes the file, so that a process that has ended is not taken for one that hangs."""
        self._file.unlink(missing_ok=True)


def file_of(directory: Path, process: int) -> Path:
    return directory / str(process)
