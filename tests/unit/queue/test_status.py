"""What is told of a sweep and of its trials, in figures and in words."""

from pathlib import Path
from typing import Any

import pytest

from jobs.queue import claims
from jobs.queue.claimed_trial import ClaimedTrial, settle_trial
from jobs.queue.database import Database
from jobs.queue.ledger import Usage
from jobs.queue.outcomes import Outcome
from jobs.queue.status import SweepStatus, TrialStatus, duration
from jobs.queue.status_reader import sweep_status
from jobs.queue.tables import SlotState
from tests.support import reporting
from tests.support.databases import commit, opened

COMPLETE, STOPPED_EARLY, RUNNING, WAITING = (
    SlotState.COMPLETE,
    SlotState.STOPPED_EARLY,
    SlotState.RUNNING,
    SlotState.WAITING,
)
NOTHING = Usage(0, 0, {})


def trial(slot: int, state: SlotState = COMPLETE, **told: Any) -> TrialStatus:
    known: dict[str, Any] = {"number": slot, "parameters": {}, "epoch": 1, "accuracy": None, "seconds": None}
    return TrialStatus(slot=slot, state=state, **{**known, **told})


def test_best_of_equal_trials_is_the_earliest() -> None:
    stopped = trial(0, STOPPED_EARLY, accuracy=0.99)
    complete = [trial(1, number=2, accuracy=0.9), trial(2, number=1, accuracy=0.9), trial(3, accuracy=0.8)]
    status = SweepStatus([stopped, *complete], NOTHING, validation_images=216)
    assert status.best is not None
    assert status.best.number == 1
    assert SweepStatus([stopped], NOTHING).best is None
    assert status.line() == "4/4 trials settled, 3 complete, 1 stopped early, best 90.0 % (trial 1)"


def test_time_left_is_what_the_settled_trials_took_over_those_that_run_at_once() -> None:
    settled = [
        trial(0, accuracy=0.9, seconds=100),
        trial(1, STOPPED_EARLY, seconds=50),
        trial(2, SlotState.CANCELLED, number=None),
    ]
    waiting = [trial(n, WAITING, number=None) for n in (3, 4, 5)]
    running = [trial(6, RUNNING, seconds=25), trial(7, RUNNING, seconds=200)]  # the second takes longer than others
    status = SweepStatus([*settled, *waiting, *running], Usage(1, 0.25, {}))
    assert status.seconds_left == (3 * 75 + 50 + 0) / 2
    assert status.line() == (
        "3/8 trials settled, 3 waiting, 2 running, 1 complete, 1 stopped early, 1 cancelled, "
        "best 90.00 % (trial 0), about 2 min of the sweep left, 0.25 GPU-hours"
    )
    assert SweepStatus([*settled, *waiting], NOTHING).seconds_left is None
    assert SweepStatus([*waiting, *running], NOTHING).seconds_left is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(89, "89 s"), (90, "2 min"), (89 * 60, "89 min"), (90 * 60, "1 h 30 min"), (7260, "2 h 1 min")],
)
def test_duration_is_told_as_people_do(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_trial_is_told_in_one_line() -> None:
    begun = trial(
        3, number=0, accuracy=0.91234, seconds=61.2, epoch=9, parameters={"lr": 0.0123456, "optimizer": "sgd"}
    )
    status = SweepStatus([begun], NOTHING, validation_images=5000)
    assert status.trial_line(begun) == (
        "trial 0 complete, validation accuracy 91.23 % (9 epochs in 61 s; lr=0.01235, optimizer=sgd)"
    )
    failed = trial(3, SlotState.FAILED, epoch=0, message="KeyError: 'x'")
    assert status.trial_line(failed) == "trial 3 failed: KeyError: 'x' (0 epochs; )"
    unbegun = trial(3, SlotState.CANCELLED, number=None, epoch=0, seconds=0, message="stopped by hand")
    assert status.trial_line(unbegun) == "slot 3 cancelled: stopped by hand"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return opened(f"sqlite:///{tmp_path}/study.db")


def test_status_of_every_slot_is_read_from_the_database(database: Database) -> None:
    sweep = reporting.experiment(4, 2)
    reporting.prepare(sweep, database.url)
    for reported, settled in (({1: 0.5, 2: 0.75}, True), ({1: 0.6}, False)):
        held = commit(database.engine, claims.claim, "quick", f"w{len(reported)}", 60)
        assert held is not None
        claimed = ClaimedTrial(database, sweep, held)
        claimed.attach()
        claimed.report(reported)
        if settled:
            settle_trial(database, held, Outcome(COMPLETE), [0.7])
    assert commit(database.engine, claims.claim, "quick", "w3", 60)
    status = sweep_status(database, "quick")
    assert status.validation_images == 216
    complete, running, begins, waiting = status.trials
    assert (complete.number, complete.state, complete.epoch, complete.accuracy) == (0, COMPLETE, 2, 0.7)
    assert (running.number, running.state, running.epoch, running.accuracy) == (1, RUNNING, 1, 0.6)
    assert (running.owner, set(running.parameters)) == ("w1", set(sweep.searched))
    assert (begins.number, begins.state, begins.parameters, begins.accuracy) == (None, RUNNING, {}, None)
    assert (waiting.number, waiting.state, waiting.seconds) == (None, WAITING, None)
    assert running.seconds is not None
    with pytest.raises(KeyError):
        sweep_status(database, "other")
