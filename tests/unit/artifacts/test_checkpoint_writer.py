"""When a training's checkpoints are written, and what becomes of one that cannot be."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.checkpoint_writer import CheckpointWriter
from jobs.artifacts.checkpoints import Checkpoints
from jobs.runtime import interrupt

OWNERS = {1: "worker-a"}


class Slow(FolderArtifacts):
    """Those that write nothing before they are allowed to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.allowed = threading.Event()
        self.error: Exception | None = None

    def write(self, key: str, write: Callable[[Path], object]) -> None:
        assert self.allowed.wait(30)
        if self.error is not None:
            raise self.error
        super().write(key, write)


def text(content: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(content)

    return write


@pytest.fixture
def slow(tmp_path: Path) -> Slow:
    return Slow(tmp_path)


def writer(
    artifacts: FolderArtifacts, seconds: float, beat: Callable[[], None] = lambda: None
) -> CheckpointWriter[str]:
    return CheckpointWriter(Checkpoints(artifacts, "trials/7", OWNERS), seconds, beat, text)


def saved(artifacts: FolderArtifacts) -> str | None:
    return Checkpoints(artifacts, "trials/7", {**OWNERS, 2: "worker-b"}).load(Path.read_text)


def test_checkpoint_is_due_by_time(tmp_path: Path) -> None:
    writing = writer(FolderArtifacts(tmp_path), 1.5)
    assert not writing.due()
    time.sleep(1.5)
    assert writing.due()
    writing.save("first")
    assert not writing.due()


def test_checkpoint_is_due_at_once_when_the_process_is_asked_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = writer(FolderArtifacts(tmp_path), 3600)
    assert not writing.due()
    asked = threading.Event()
    asked.set()
    monkeypatch.setattr(interrupt, "_requested", asked)
    assert writing.due()


def test_training_goes_on_while_a_checkpoint_is_written(slow: Slow) -> None:
    beats: list[None] = []
    with writer(slow, 0, lambda: beats.append(None)) as writing:
        assert writing.due()
        writing.save("first")
        assert saved(slow) is None
        assert not writing.due()
        threading.Timer(1.5, slow.allowed.set).start()
        writing.save("second")  # waits for the first, and gives signs of life
        assert len(beats) >= 2
    assert saved(slow) == "second"


def test_content_is_that_of_the_moment_at_which_it_was_saved(slow: Slow) -> None:
    epochs = ["one"]

    def prepare(_checkpoint: str) -> Callable[[Path], None]:
        return text(" ".join(epochs))

    with CheckpointWriter(Checkpoints(slow, "trials/7", OWNERS), 0, lambda: None, prepare) as writing:
        writing.save("")
        epochs.append("two")
        slow.allowed.set()
    assert saved(slow) == "one"


def run(writing: CheckpointWriter[str], *checkpoints: str, end: Exception | None = None) -> None:
    """A training that saves these and then ends as it is told."""
    with writing:
        for checkpoint in checkpoints:
            writing.save(checkpoint)
        if end is not None:
            raise end


@pytest.mark.parametrize("checkpoints", [("first",), ("first", "second")])
def test_error_is_raised_where_the_training_waits_next(slow: Slow, checkpoints: tuple[str, ...]) -> None:
    slow.error = OSError("no space left")
    slow.allowed.set()
    with pytest.raises(OSError, match="no space left"):
        run(writer(slow, 0), *checkpoints)


def test_what_ends_the_training_is_told_rather_than_what_ends_its_checkpoint(slow: Slow) -> None:
    slow.error = OSError("no space left")
    slow.allowed.set()
    with pytest.raises(InterruptedError):
        run(writer(slow, 0), "first", end=InterruptedError())


def test_what_a_sign_of_life_raises_ends_the_waiting(slow: Slow) -> None:
    def lose() -> None:
        slow.allowed.set()
        raise InterruptedError

    with pytest.raises(InterruptedError):
        run(writer(slow, 0, lose), "first")
    assert saved(slow) == "first"  # no thread is left behind
