"""How a trial ends: in Optuna and in its slot at once."""

from dataclasses import dataclass

from optuna.trial import TrialState

from jobs.queue import claims
from jobs.queue.claims import Claim
from jobs.queue.fenced_storage import FencedStorage
from jobs.queue.tables import SlotState
from jobs.runtime.retry import NotAcknowledged

OPTUNA_STATES = {  # with one objective
    SlotState.COMPLETE: TrialState.COMPLETE,
    SlotState.STOPPED_EARLY: TrialState.PRUNED,
    SlotState.INFEASIBLE: TrialState.PRUNED,
    SlotState.DIVERGED: TrialState.PRUNED,
    SlotState.FAILED: TrialState.FAIL,
    SlotState.CRASHED: TrialState.FAIL,
    SlotState.CANCELLED: TrialState.FAIL,
}
SLOT_STATES = {  # of a trial that Optuna has as finished while its slot is not settled
    TrialState.COMPLETE: SlotState.COMPLETE,
    TrialState.PRUNED: SlotState.STOPPED_EARLY,
    TrialState.FAIL: SlotState.FAILED,
}


def optuna_state(state: SlotState, objectives: int) -> TrialState:
    """How Optuna is told that a slot's trial has ended.

    With two objectives a diverged trial counts as failed: the TPE sampler orders trials without values by the single
    direction of the study.
    """
    if objectives > 1 and state is SlotState.DIVERGED:
        return TrialState.FAIL
    return OPTUNA_STATES[state]


@dataclass(frozen=True)
class Outcome:
    state: SlotState
    message: str | None = None
    traceback: str | None = None


def settle_trial(
    storage: FencedStorage, held: Claim, outcome: Outcome, values: list[float] | None = None, *, objectives: int = 1
) -> None:
    """Ends a trial and its slot in one transaction, unless a former try of this has done so.

    Args:
        storage: of the study.
        held: the slot.
        outcome: what became of the trial.
        values: one for each objective, of a complete trial.
        objectives: how many the study has.

    Raises:
        LeaseLost: somebody else has claimed the slot since.
        NotAcknowledged: Optuna did not take the trial's end; to be tried again.

    """
    state, trial_id = claims.read_own(storage.engine, held)
    if state.settled:
        return
    storage.outcome = (outcome.state, outcome.message, outcome.traceback)
    if trial_id is None or not storage.is_running(trial_id):
        with storage.engine.begin() as connection:
            claims.settle(connection, held, *storage.outcome)
        return
    if not storage.set_trial_state_values(trial_id, optuna_state(outcome.state, objectives), values):
        raise NotAcknowledged(f"slot {held.slot}: Optuna has not taken the trial's end")
