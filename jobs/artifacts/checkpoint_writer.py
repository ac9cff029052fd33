"""Writes the checkpoints of a running training, by time and beside it."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from jobs.artifacts.checkpoints import Checkpoints
from jobs.runtime import interrupt

POLL_SECONDS = 0.1

T = TypeVar("T")


class CheckpointWriter(Generic[T]):
    """What a training gives its checkpoints to: a thread of its own writes them while the training goes on.

    One is due so many seconds after the last one, as soon as that is written, and at once when the process is asked to
    end. A killed process therefore costs at most this time and what a checkpoint takes to be written. Leaving the block
    waits for the checkpoint that is being written.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        seconds: float,
        beat: Callable[[], None],
        prepare: Callable[[T], Callable[[Path], None]],
    ) -> None:
        """The first checkpoint is due `seconds` from now.

        Args:
            checkpoints: where they go.
            seconds: between two of them.
            beat: called several times a second while the training waits for a checkpoint; what it raises ends that. It
                should not raise because the process is asked to end: the last checkpoint is worth waiting for.
            prepare: returns what writes a checkpoint to a file; called before the training goes on.

        """
        self._checkpoints, self._seconds, self._beat, self._prepare = checkpoints, seconds, beat, prepare
        self._last = time.monotonic()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:  # else the one error is enough
                self.wait()
        finally:
            if self._thread is not None:
                self._thread.join()

    def due(self) -> bool:
        if interrupt.requested():
            return True
        writing = self._thread is not None and self._thread.is_alive()
        return not writing and time.monotonic() - self._last >= self._seconds

    def save(self, checkpoint: T) -> None:
        """Begins to write it, once the one before is written. Raises as `wait` does."""
        self.wait()
        self._last = time.monotonic()
        write = self._prepare(checkpoint)
        self._thread = threading.Thread(target=self._write, args=(write,), name="checkpoint", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Returns when the last checkpoint is written; raises what its writing has raised."""
        if self._thread is None:
            return
        while self._thread.is_alive():
            self._thread.join(POLL_SECONDS)
            if self._thread.is_alive():
                self._beat()
        self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _write(self, write: Callable[[Path], None]) -> None:
        try:
            self._checkpoints.save(write)
        except BaseException as error:  # it is raised where the training waits
            self._error = error
