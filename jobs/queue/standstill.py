"""Whether a sweep goes on to find anything better."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState


def trials_since_rise(trials: Sequence[FrozenTrial], min_delta: float) -> int:
    """How many trials have ended since the highest accuracy of a complete one last rose by more than `min_delta`.

    Trials are taken in the order in which they ended. 0 as long as none is complete.
    """
    ended = [trial for trial in trials if trial.state.is_finished() and trial.datetime_complete is not None]
    best, since = None, 0
    for trial in sorted(ended, key=lambda trial: (trial.datetime_complete, trial.number)):
        since += 1
        if trial.state is TrialState.COMPLETE and (best is None or trial.values[0] > best + min_delta):
            best, since = trial.values[0], 0
    return 0 if best is None else since
