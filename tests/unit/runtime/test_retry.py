import time
from collections.abc import Callable

import pytest

from jobs.artifacts import ArtifactsRefused, ArtifactsUnreachable
from jobs.runtime.errors import Refused
from jobs.runtime.interrupt import Interrupted
from jobs.runtime.retry import OutageTooLong, Patience


class Failing:
    """An action that fails as it is told, then gets through."""

    def __init__(self, error: BaseException, times: int = 1_000) -> None:
        self._error, self._times, self.calls = error, times, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error
        return "done"


def run(action: Callable[[], str], deadline_seconds: float = 60, beat: Callable[[], None] = lambda: None) -> str:
    return Patience(deadline_seconds, beat).get_through(action, "database x at y:1")


def test_action_is_tried_until_it_gets_through(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    action = Failing(ArtifactsUnreachable("Connection refused"), 3)
    assert run(action) == "done"
    assert action.calls == 4
    first, last = (record.getMessage() for record in caplog.records)
    assert first.startswith("database x at y:1 cannot be reached (Connection refused), waiting for it, 60 s at most")
    assert last.startswith("database x at y:1 is back after ")


def test_action_is_given_up_after_the_deadline() -> None:
    error = ArtifactsUnreachable("the disk is full")
    action, started = Failing(error), time.monotonic()
    with pytest.raises(OutageTooLong, match=r"^database x at y:1: not reached for .* s: the disk is full$") as raised:
        run(action, 0.3)
    assert time.monotonic() - started >= 0.3
    assert action.calls > 1
    assert raised.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        Refused("wrong password"),
        ArtifactsRefused("no rights"),
        FileNotFoundError("gone"),
        KeyboardInterrupt(),
    ],
)
def test_other_errors_pass_at_once(error: BaseException) -> None:
    action = Failing(error)
    with pytest.raises(type(error)) as raised:
        run(action)
    assert raised.value is error
    assert action.calls == 1


def test_waiting_ends_with_what_the_beat_raises() -> None:
    beats = iter(range(100))

    def beat() -> None:
        if next(beats) == 4:
            raise Interrupted

    action = Failing(ArtifactsUnreachable("Connection refused"))
    with pytest.raises(Interrupted):
        run(action, beat=beat)
    assert 1 < action.calls <= 4


def test_beats_come_often_while_a_pause_is_long() -> None:
    beats: list[None] = []
    action = Failing(ArtifactsUnreachable("Connection refused"))
    with pytest.raises(OutageTooLong):
        run(action, 0.8, lambda: beats.append(None))
    assert len(beats) > 2 * (action.calls - 1)  # more than at the beginning and the end of each
