import re
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from jobs.artifacts import ArtifactsRefused, ArtifactsUnreachable
from jobs.runtime import interrupt, retry
from jobs.runtime.errors import Refused
from jobs.runtime.interrupt import Interrupted
from jobs.runtime.retry import NeverAnswered, OutageTooLong, Patience


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


def test_outages_are_counted_with_their_seconds(clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch) -> None:
    outages = retry.Outages()
    monkeypatch.setattr(retry, "OUTAGES", outages)
    for failures in (0, 4, 3):
        started, before = clock(), outages.seconds
        run(Failing(ArtifactsUnreachable("away"), failures))
        assert outages.seconds - before == pytest.approx(clock() - started)
    assert outages.count == 2
    assert outages.seconds > 0


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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """A clock that moves only while somebody sleeps, so that hours pass at once."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    return lambda: now[0]


def test_pauses_grow_to_two_seconds_and_differ_from_process_to_process(clock: Callable[[], float]) -> None:
    tried: list[float] = []

    def action() -> str:
        tried.append(clock())
        raise ArtifactsUnreachable("Connection refused")

    with pytest.raises(OutageTooLong):
        run(action, 600)
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    for pause, longest in zip(pauses, [0.1, 0.2, 0.4, 0.8, 1.6, *[2.0] * len(pauses)], strict=False):
        assert longest / 2 <= pause <= longest + 1e-6
    assert len({round(pause, 6) for pause in pauses[5:]}) > 100


def test_long_outage_is_told_of_every_half_minute(clock: Callable[[], float], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(OutageTooLong):
        run(Failing(ArtifactsUnreachable("Connection refused")), 200)
    left = [
        float(words[1]) for record in caplog.records if (words := re.search(r", (\d+) s at most", record.getMessage()))
    ]
    assert len(left) == 6 + 1
    assert all(30 <= earlier - later <= 33 for earlier, later in pairwise(left))


def test_service_that_has_never_answered_may_be_starting_and_is_warned_of_later(
    clock: Callable[[], float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    patience = Patience(300, lambda: None)
    levels = []
    for failures in (3, 30, 3):
        service = f"service {failures}" if failures == 30 else "service"
        patience.get_through(Failing(ArtifactsUnreachable("Connection refused"), failures), service)
        levels.append([record.levelname for record in caplog.records if "cannot be reached" in record.getMessage()])
        caplog.clear()
    assert levels[0] == ["INFO"]
    assert levels[1][0] == "INFO"
    assert set(levels[1][1:]) == {"WARNING"}
    assert levels[2] == ["WARNING"]


def test_waiting_ends_when_the_process_is_asked_to_end_unless_told_otherwise() -> None:
    assert Patience(60).beat is interrupt.check


DOUBTFUL = ArtifactsUnreachable("no host a.invalid is known here", doubtful=True)


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No service has answered yet, and one that may be misspelt has a tenth of a second to."""
    monkeypatch.setattr(retry, "_answered", set())
    monkeypatch.setattr(retry, "FIRST_ANSWER_SECONDS", 0.1)


@pytest.mark.usefixtures("strangers")
def test_what_may_be_a_mistake_is_not_waited_for_as_an_outage_is() -> None:
    with pytest.raises(
        NeverAnswered, match=r"^database x at y:1: not reached for .* s: no host a\.invalid is known here$"
    ):
        run(Failing(DOUBTFUL), 3600)


@pytest.mark.usefixtures("strangers")
def test_outage_of_what_has_answered_before_is_waited_for_whatever_it_looks_like() -> None:
    assert run(lambda: "done") == "done"
    with pytest.raises(OutageTooLong) as raised:
        run(Failing(DOUBTFUL), 0.5)
    assert type(raised.value) is OutageTooLong


@pytest.mark.usefixtures("strangers")
def test_one_service_answers_for_all_its_places() -> None:
    Patience(1, lambda: None).get_through(lambda: "done", "s3://a/x", "artifacts")
    failing = Failing(DOUBTFUL, 3)
    assert Patience(60, lambda: None).get_through(failing, "s3://a/y", "artifacts") == "done"


@pytest.mark.usefixtures("strangers")
def test_first_answer_of_what_may_only_be_away_is_waited_for() -> None:
    assert run(Failing(ArtifactsUnreachable("Connection refused"), 4), 60) == "done"
