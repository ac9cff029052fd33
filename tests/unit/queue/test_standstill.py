"""How long nothing better has been found, from trials as Optuna has them."""

from datetime import UTC, datetime, timedelta

import pytest
from optuna.trial import FrozenTrial, TrialState

from jobs.queue.standstill import trials_since_rise

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def trial(number: int, value: float | None, ended: int | None, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        state=state,
        value=value,
        datetime_start=BEGIN,
        datetime_complete=None if ended is None else BEGIN + timedelta(seconds=ended),
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
        trial_id=number,
    )


@pytest.mark.parametrize(
    ("values", "min_delta", "since"),
    [
        ([], 0, 0),
        ([0.5], 0, 0),
        ([0.5, 0.6, 0.7], 0, 0),
        ([0.7, 0.6, 0.7], 0, 2),  # as good is not better
        ([0.5, 0.505, 0.509, 0.511], 0.01, 0),  # more than 0.01 above the best that counted
        ([0.5, 0.505, 0.509], 0.01, 2),
    ],
)
def test_counts_from_the_last_rise(values: list[float], min_delta: float, since: int) -> None:
    trials = [trial(number, value, number) for number, value in enumerate(values)]
    assert trials_since_rise(trials, min_delta) == since


def test_trials_count_in_the_order_in_which_they_ended_whatever_became_of_them() -> None:
    late = trial(0, 0.9, ended=9)
    others = [trial(n, 0.5, ended=n) for n in (1, 2)] + [trial(3, None, 3, TrialState.PRUNED)]
    running = trial(4, None, None, TrialState.RUNNING)
    assert trials_since_rise([late, *others, running], 0) == 0
    assert trials_since_rise([*others, running], 0) == 2


def test_nothing_stands_still_before_a_trial_is_complete() -> None:
    assert trials_since_rise([trial(n, None, n, TrialState.PRUNED) for n in range(50)], 0) == 0
