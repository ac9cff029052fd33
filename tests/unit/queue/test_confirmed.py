"""Which configuration wins by its confirmations."""

from typing import Any

import pytest

from jobs.queue.best_trial import SweepNotOver, best_trial
from jobs.queue.ledger import Usage
from jobs.queue.status import SweepStatus, TrialStatus, ranking
from jobs.queue.tables import SlotState
from tests.support import confirming

COMPLETE, FAILED, WAITING = SlotState.COMPLETE, SlotState.FAILED, SlotState.WAITING
EXPERIMENT = confirming.experiment(3, "{trials: 3, seeds: 2}")


def trial(slot: int, accuracy: float | None, lr: float, state: SlotState = COMPLETE, **told: Any) -> TrialStatus:
    known = {"number": slot, "parameters": {"lr": lr}, "seconds": 10.0}
    return TrialStatus(slot=slot, state=state, accuracy=accuracy, **{**known, **told})


# By rank: trials 2, 0 and 1.
TRIALS = [trial(0, 0.9, 0.1), trial(1, 0.8, 0.2), trial(2, 0.95, 0.3), trial(3, 0.99, 0.4, SlotState.STOPPED_EARLY)]


def status(*confirmed: tuple[float, float | None]) -> SweepStatus:
    """A sweep whose confirmations have these learning rates and accuracies; without accuracy one has failed."""
    confirmations = [
        trial(n, accuracy, lr, FAILED if accuracy is None else COMPLETE, work="confirmation")
        for n, (lr, accuracy) in enumerate(confirmed)
    ]
    return SweepStatus(TRIALS, Usage(0, 0, {}), confirmations)


@pytest.mark.parametrize(
    ("confirmed", "winner"),
    [
        pytest.param([(0.3, 0.8), (0.3, 0.9), (0.1, 0.86), (0.1, 0.88), (0.2, 0.7), (0.2, 0.7)], 0, id="best mean"),
        pytest.param([(0.2, 0.75), (0.3, 0.5), (0.1, 0.75)], 0, id="of equal means the better rank"),
        pytest.param([(0.3, 0.5), (0.3, 0.5), (0.1, 0.9), (0.1, None)], 2, id="only with the most confirmations"),
        pytest.param([(0.3, None), (0.1, None), (0.2, 0.1)], 1, id="the only one that is confirmed"),
        pytest.param([(0.3, None), (0.1, None)], 2, id="first place where none is"),
        pytest.param([], 2, id="first place where there were to be none"),
    ],
)
def test_winner_is_the_best_mean_of_those_with_most_confirmations(
    confirmed: list[tuple[float, float | None]], winner: int
) -> None:
    assert best_trial(EXPERIMENT, status(*confirmed)).number == winner


def test_no_winner_is_taken_while_a_confirmation_is_not_settled() -> None:
    waiting = trial(1, None, 0.1, WAITING, work="confirmation", number=None)
    going_on = SweepStatus(TRIALS, Usage(0, 0, {}), [*status((0.3, 0.9)).confirmations, waiting])
    with pytest.raises(SweepNotOver, match=r"^1 trials and confirmations of the sweep are not settled"):
        best_trial(EXPERIMENT, going_on)
    assert waiting.name == "slot 1 of the confirmations"


def test_configuration_that_several_trials_had_is_ranked_once_by_its_best() -> None:
    again = [trial(4, 0.97, 0.1), trial(5, 0.95, 0.3)]
    assert [one.number for one in ranking([*TRIALS, *again])] == [4, 2, 1]
    assert [one.number for one in ranking([trial(0, 0.9, 1), trial(1, 0.9, 2)])] == [0, 1]  # of equals the earliest


def test_time_left_counts_confirmations_as_long_as_complete_trainings() -> None:
    trials = [trial(0, 0.9, 0.1), trial(1, 0.8, 0.2, SlotState.STOPPED_EARLY, seconds=2.0)]
    waiting = trial(0, None, 0.1, WAITING, work="confirmation", number=None)
    running = trial(1, None, 0.1, SlotState.RUNNING, work="confirmation", seconds=4.0)
    assert SweepStatus(trials, Usage(0, 0, {}), [waiting, running]).seconds_left == 10 + 6
