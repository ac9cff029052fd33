"""How far a sweep is, read from the database alone."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from jobs.queue.database import Database
from jobs.queue.ledger import Usage, read_usage
from jobs.queue.optuna_internals import trial_id
from jobs.queue.optuna_values import parameters_of
from jobs.queue.slots import SlotRow, read_slots
from jobs.queue.tables import SlotState


@dataclass(frozen=True, kw_only=True)
class TrialStatus(SlotRow):
    """A slot with what Optuna knows of its trial; the accuracy is of the validation images.

    `seconds` is how long workers have held the slot.
    """

    number: int | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    accuracy: float | None = None
    seconds: float | None


@dataclass(frozen=True)
class SweepStatus:
    trials: list[TrialStatus]
    usage: Usage

    def count(self, state: SlotState) -> int:
        return Counter(trial.state for trial in self.trials)[state]

    @property
    def settled(self) -> int:
        return sum(trial.state.settled for trial in self.trials)

    @property
    def unsettled(self) -> int:
        return len(self.trials) - self.settled

    @property
    def running(self) -> list[TrialStatus]:
        return [trial for trial in self.trials if trial.state is SlotState.RUNNING]

    @property
    def best(self) -> TrialStatus | None:
        """The complete trial of the highest accuracy, the earliest of equals."""
        complete = [trial for trial in self.trials if trial.state is SlotState.COMPLETE]
        return max(complete, key=lambda trial: (trial.accuracy or 0.0, -(trial.number or 0)), default=None)

    @property
    def seconds_left(self) -> float | None:
        """An estimate: what is left takes the mean time of the settled trials, as many at once as run now.

        None before the first trial is settled, or while none runs.
        """
        times = [trial.seconds or 0.0 for trial in self.trials if trial.state.settled and trial.number is not None]
        if not times or not self.running:
            return None
        mean = sum(times) / len(times)
        left = mean * self.count(SlotState.WAITING)
        left += sum(max(mean - (trial.seconds or 0.0), 0.0) for trial in self.running)
        return left / len(self.running)

    def line(self) -> str:
        """The whole sweep in one line."""
        parts = [f"{self.settled}/{len(self.trials)} trials settled"]
        parts += [f"{self.count(state)} {state}" for state in SlotState if self.count(state)]
        if self.best is not None:
            parts.append(f"best {self.best.accuracy:.4f} (trial {self.best.number})")
        if self.seconds_left is not None:
            parts.append(f"about {duration(self.seconds_left)} left")
        if self.usage.gpu_hours:
            parts.append(f"{self.usage.gpu_hours:.2f} GPU-hours")
        return ", ".join(parts)


def sweep_status(database: Database, study: str) -> SweepStatus:
    """The slots of a study and what is known of their trials.

    Raises:
        KeyError: there is no such study.

    """
    rows, usage = database.read(lambda connection: (read_slots(connection, study), read_usage(connection, study)))
    # Read after the slots, so that a trial whose slot is settled is finished here, with its last value.
    trials = {trial_id(trial): trial for trial in read_trials(database, study)}
    return SweepStatus(
        [_trial_status(row, trials.get(row.trial_id or -1), usage.seconds.get(row.slot)) for row in rows], usage
    )


def read_trials(database: Database, study: str) -> list[FrozenTrial]:
    """What Optuna knows of the trials, in the order of their numbers; not to be changed."""

    def read() -> list[FrozenTrial]:
        storage = database.cached_storage
        return storage.get_all_trials(storage.get_study_id_from_name(study), deepcopy=False)

    return database.run(read)


def trial_line(trial: TrialStatus) -> str:
    """A settled trial in one line."""
    name = f"slot {trial.slot}" if trial.number is None else f"trial {trial.number}"
    reason = "" if trial.message is None else f": {trial.message}"
    if trial.number is None:
        return f"{name} {trial.state}{reason}"
    accuracy = "" if trial.accuracy is None else f", validation accuracy {trial.accuracy:.4f}"
    seconds = "" if trial.seconds is None else f" in {trial.seconds:.0f} s"
    return f"{name} {trial.state}{reason}{accuracy} ({trial.epoch} epochs{seconds}; {parameters_line(trial)})"


def parameters_line(trial: TrialStatus) -> str:
    short = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in trial.parameters.items()}
    return ", ".join(f"{name}={value}" for name, value in short.items())


def duration(seconds: float) -> str:
    """For people: 45 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _trial_status(row: SlotRow, trial: FrozenTrial | None, seconds: float | None) -> TrialStatus:
    if trial is None:
        return TrialStatus(**vars(row), seconds=seconds)
    last = trial.last_step
    accuracy = None if last is None else trial.intermediate_values[last]
    if trial.state is TrialState.COMPLETE:
        accuracy = trial.values[0]
    number, epoch = trial.number, last or 0
    return TrialStatus(
        **vars(row), number=number, parameters=parameters_of(trial), epoch=epoch, accuracy=accuracy, seconds=seconds
    )
