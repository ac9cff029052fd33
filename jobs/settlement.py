"""How a trial ends: in Optuna and in its slot at once."""

from dataclasses import dataclass

from optuna.trial import TrialState

from jobs import slots
from jobs.outage import NotAcknowledged
from jobs.slots import Claim
from jobs.storage import FencedStorage
from jobs.tables import SlotState

OPTUNA_STATES = {
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


@dataclass(frozen=True)
class Outcome:
    state: SlotState
    message: str | None = None
    traceback: str | None = None


def settle_trial(storage: FencedStorage, held: Claim, outcome: Outcome, value: float | None = None) -> None:
    """Ends a trial and its slot in one transaction, unless a former try of this has done so.

    Raises:
        LeaseLost: somebody else has claimed the slot since.
        NotAcknowledged: Optuna did not take the trial's end; to be tried again.

    """
    state, trial_id = slots.read_own(storage.engine, held)
    if state.settled:
        return
    storage.outcome = (outcome.state, outcome.message, outcome.traceback)
    if trial_id is None or not storage.is_running(trial_id):
        with storage.engine.begin() as connection:
            slots.settle(connection, held, *storage.outcome)
        return
    values = None if value is None else [value]
    if not storage.set_trial_state_values(trial_id, OPTUNA_STATES[outcome.state], values):
        raise NotAcknowledged(f"slot {held.slot}: Optuna has not taken the trial's end")
