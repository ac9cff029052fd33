"""What must be true of a sweep that is over, whatever happened to it."""

from collections import defaultdict

from jobs.experiment.confirmation import confirmation
from jobs.experiment.experiment import Experiment
from jobs.queue.compatibility import stored_experiment
from jobs.queue.database import Database
from jobs.queue.ledger import Change, read_ledger
from jobs.queue.optuna_internals import trial_id
from jobs.queue.outcomes import OPTUNA_STATES
from jobs.queue.slots import SlotRow, read_slots
from jobs.queue.status_reader import read_trials
from jobs.queue.tables import SlotState

CLOCK_SLACK = 1.0  # seconds by which the order of times may differ from the order of commits


class Violation(AssertionError):
    pass


def check_sweep(database: Database, study: str, trials: int, confirmations: int = 0) -> None:
    """N slots settled, each once, by one chain of owners, each with one trial; and so many of its confirmations.

    Raises:
        Violation: something of this is not so.

    """
    experiment = stored_experiment(database, study)
    assert experiment is not None
    check_slots(database, experiment, trials)
    check_slots(database, confirmation(experiment), confirmations)


def check_slots(database: Database, experiment: Experiment, trials: int) -> None:
    study = experiment.study_name
    rows, changes = database.read(lambda connection: (read_slots(connection, study), read_ledger(connection, study)))
    if len(rows) != trials:
        raise Violation(f"{len(rows)} slots of {trials}")
    check_ledger(changes)
    check_settled(rows, changes)
    if rows:
        check_trials(database, experiment, rows)


def check_ledger(changes: list[Change]) -> None:
    """Every change follows from the one before, fences grow, no lease is taken from a living owner."""
    last_at = 0.0
    by_slot: dict[int, list[Change]] = defaultdict(list)
    for change in changes:
        if change.at < last_at - CLOCK_SLACK:
            raise Violation(f"slot {change.slot}: the clock went back by {last_at - change.at:.1f} s: {change}")
        last_at = max(last_at, change.at)
        by_slot[change.slot].append(change)
    for slot, own in by_slot.items():
        state, fence, owner = SlotState.WAITING, 0, None
        for change in own:
            if change.before is not state:
                raise Violation(f"slot {slot}: {change} follows on {state}")
            if state.settled:
                raise Violation(f"slot {slot}: {change} after it was settled")
            claimed = change.after is SlotState.RUNNING or (change.after is SlotState.CANCELLED and owner is None)
            if change.fence != fence + claimed:
                raise Violation(f"slot {slot}: {change} follows on fence {fence}")
            if not claimed and change.owner != owner:
                raise Violation(f"slot {slot}: {change}, but {owner} held it")
            taken_over = claimed and state is SlotState.RUNNING and change.owner != owner
            if taken_over and (change.lease_end is None or change.lease_end > change.at):
                raise Violation(f"slot {slot}: {change} took it from {owner} before the lease had ended")
            state, fence = change.after, change.fence
            owner = change.owner if state is SlotState.RUNNING else None


def check_settled(rows: list[SlotRow], changes: list[Change]) -> None:
    settlements: dict[int, list[Change]] = defaultdict(list)
    for change in changes:
        if change.after.settled:
            settlements[change.slot].append(change)
    for row in rows:
        own = settlements[row.slot]
        if len(own) != 1 or not row.state.settled:
            raise Violation(f"slot {row.slot}: {row.state}, settled {len(own)} times")
        if (own[0].after, own[0].fence) != (row.state, row.fence):
            raise Violation(f"slot {row.slot}: {row} is not what the ledger says: {own[0]}")


def check_trials(database: Database, experiment: Experiment, rows: list[SlotRow]) -> None:
    """Each slot has a trial of its own in the state that belongs to it, and there are no others."""
    trials = {trial_id(trial): trial for trial in read_trials(database, experiment.study_name)}
    always = {name for name, parameter in experiment.searched.items() if not parameter.when}
    attached = [row.trial_id for row in rows if row.trial_id is not None]
    if sorted(attached) != sorted(trials):
        raise Violation(f"the slots have the trials {sorted(attached)}, Optuna has {sorted(trials)}")
    for row in rows:
        if row.trial_id is None:
            if row.state in (SlotState.COMPLETE, SlotState.STOPPED_EARLY):
                raise Violation(f"slot {row.slot}: {row.state} without a trial")
            continue
        trial = trials[row.trial_id]
        if trial.state is not OPTUNA_STATES[row.state]:
            raise Violation(f"slot {row.slot}: {row.state}, and its trial is {trial.state.name}")
        steps = sorted(trial.intermediate_values)
        if steps != list(range(1, len(steps) + 1)):
            raise Violation(f"trial {trial.number}: steps {steps}")
        if row.state is SlotState.COMPLETE and (missing := always - trial.params.keys()):
            raise Violation(f"trial {trial.number}: complete without the parameters {sorted(missing)}")
        if row.state is SlotState.COMPLETE and trial.value != trial.intermediate_values[steps[-1]]:
            raise Violation(f"trial {trial.number}: value {trial.value}, last of {trial.intermediate_values}")
