"""How far a sweep is, read from the database alone."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine

from jobs.database import FencedStorage
from jobs.experiment import Experiment
from jobs.slots import SlotRow, SlotState, read_slots


@dataclass(frozen=True)
class TrialStatus:
    """A slot with what Optuna knows of its trial; accuracies are of the validation images, times in seconds."""

    slot: int
    number: int | None
    state: SlotState
    parameters: dict[str, Any]
    epoch: int
    accuracy: float | None
    seconds: float | None
    message: str | None


@dataclass(frozen=True)
class SweepStatus:
    trials: list[TrialStatus]

    def count(self, state: SlotState) -> int:
        return Counter(trial.state for trial in self.trials)[state]

    @property
    def settled(self) -> int:
        return sum(trial.state.settled for trial in self.trials)

    @property
    def unsettled(self) -> int:
        return len(self.trials) - self.settled

    @property
    def best(self) -> TrialStatus | None:
        """The complete trial of the highest accuracy, the earliest of equals."""
        complete = [trial for trial in self.trials if trial.state is SlotState.COMPLETE]
        return max(complete, key=lambda trial: (trial.accuracy or 0.0, -(trial.number or 0)), default=None)

    def line(self) -> str:
        """The whole sweep in one line."""
        parts = [f"{self.settled}/{len(self.trials)} trials settled"]
        parts += [f"{self.count(state)} {state}" for state in SlotState if self.count(state)]
        if self.best is not None:
            parts.append(f"best {self.best.accuracy:.4f} (trial {self.best.number})")
        return ", ".join(parts)


def sweep_status(engine: Engine, storage: FencedStorage, experiment: Experiment) -> SweepStatus:
    study_id = storage.get_study_id_from_name(experiment.study_name)
    trials = {trial._trial_id: trial for trial in storage.get_all_trials(study_id, deepcopy=False)}
    rows = read_slots(engine, experiment.study_name)
    return SweepStatus([_trial_status(row, trials.get(row.trial_id or -1)) for row in rows])


def trial_line(trial: TrialStatus) -> str:
    """A settled trial in one line."""
    accuracy = "" if trial.accuracy is None else f", validation accuracy {trial.accuracy:.4f}"
    seconds = "" if trial.seconds is None else f" in {trial.seconds:.0f} s"
    parameters = ", ".join(f"{name}={_short(value)}" for name, value in trial.parameters.items())
    reason = "" if trial.message is None else f": {trial.message}"
    return f"trial {trial.number} {trial.state}{reason}{accuracy} ({trial.epoch} epochs{seconds}; {parameters})"


def _trial_status(row: SlotRow, trial: FrozenTrial | None) -> TrialStatus:
    if trial is None:
        return TrialStatus(row.slot, None, row.state, {}, 0, None, None, row.message)
    last = trial.last_step
    accuracy = None if last is None else trial.intermediate_values[last]
    return TrialStatus(
        slot=row.slot,
        number=trial.number,
        state=row.state,
        parameters=trial.params,
        epoch=last or 0,
        accuracy=trial.value if trial.state is TrialState.COMPLETE else accuracy,
        seconds=trial.user_attrs.get("seconds"),
        message=row.message,
    )


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
