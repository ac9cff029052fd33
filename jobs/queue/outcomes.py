"""How a trial has ended, in our words and in Optuna's."""

from dataclasses import dataclass

from optuna.trial import TrialState

from jobs.queue.tables import SlotState

OPTUNA_STATES = {  # with one objective
    SlotState.COMPLETE: TrialState.COMPLETE,
    SlotState.STOPPED_EARLY: TrialState.PRUNED,
    SlotState.INFEASIBLE: TrialState.PRUNED,
    SlotState.DIVERGED: TrialState.PRUNED,
    SlotState.FAILED: TrialState.FAIL,
    SlotState.CRASHED: TrialState.FAIL,
    SlotState.CANCELLED: TrialState.FAIL,
}
SLOT_STATES = {  # for a trial that Optuna has as finished while its slot is not settled
    TrialState.COMPLETE: SlotState.COMPLETE,
    TrialState.PRUNED: SlotState.STOPPED_EARLY,
    TrialState.FAIL: SlotState.FAILED,
}


@dataclass(frozen=True)
class Outcome:
    """How a trial has ended. `traceback` is that of the exception which made it fail."""

    state: SlotState
    message: str | None = None
    traceback: str | None = None


def optuna_state(state: SlotState, objectives: int) -> TrialState:
    """How Optuna is told that a slot's trial has ended.

    With two objectives a diverged trial counts as failed: the TPE sampler orders trials without values by the single
    direction of the study.
    """
    if objectives > 1 and state is SlotState.DIVERGED:
        return TrialState.FAIL
    return OPTUNA_STATES[state]
