"""How far a sweep is, read from the database alone; who looks again and again reads what is settled only once."""

from collections.abc import Mapping
from typing import Literal

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection

from jobs.experiment.confirmation import confirmation_name
from jobs.queue.claim import is_unsettled
from jobs.queue.database import Database
from jobs.queue.ledger import Spans, read_spans, seconds_of, usage_of
from jobs.queue.optuna_internals import trial_id
from jobs.queue.optuna_values import parameters_of
from jobs.queue.slots import SlotRow, read_slots, read_validation_images
from jobs.queue.status import SweepStatus, TrialStatus
from jobs.queue.tables import slots


def sweep_status(database: Database, study: str) -> SweepStatus:
    """The slots of a study and of its confirmations, and what is known of their trials.

    Raises:
        KeyError: there is no such study.

    """
    return StatusReader(database, study).read()


def read_trials(database: Database, study: str) -> list[FrozenTrial]:
    """What Optuna knows of the trials, in the order of their numbers; not to be changed."""

    def read() -> list[FrozenTrial]:
        storage = database.cached_storage
        return storage.get_all_trials(storage.get_study_id_from_name(study), deepcopy=False)

    return database.run(read)


class StatusReader:
    """Looks at one sweep."""

    def __init__(self, database: Database, study: str) -> None:
        self._database, self._study = database, study
        self._trials, self._confirmations = _Slots(study, "trial"), _Slots(confirmation_name(study), "confirmation")

    def read(self) -> SweepStatus:
        """As the function `sweep_status`."""

        def read_rows(connection: Connection) -> int | None:
            self._trials.read(connection)
            self._confirmations.read(connection)
            return read_validation_images(connection, self._study)

        validation_images = self._database.read(read_rows)
        # Read after the slots, so that a trial whose slot is settled is finished here, with its last value.
        trials = self._trials.with_trials(self._database)
        confirmations = self._confirmations.with_trials(self._database)
        usage = usage_of(self._trials.spans, self._confirmations.spans)
        return SweepStatus(trials, usage, confirmations, validation_images)


class _Slots:
    """The slots of one study: of a settled one, all is kept."""

    def __init__(self, study: str, work: Literal["trial", "confirmation"]) -> None:
        self.study, self._work = study, work
        self.spans: Spans = {}
        self._changed: list[SlotRow] = []  # those of the last reading that were not settled before it
        self._statuses: dict[int, TrialStatus] = {}
        self._unsettled: set[int] = set()

    def read(self, connection: Connection) -> None:
        """Slots and ledger, as far as they may have changed; more than once between two looks after a lost reply."""
        of = None
        if not self._statuses:
            self._changed = read_slots(connection, self.study)
        else:
            self._changed = read_slots(connection, self.study, is_unsettled())
            settled = self._unsettled - {row.slot for row in self._changed}
            self._changed += read_slots(connection, self.study, slots.c.slot.in_(settled)) if settled else []
            of = [row.slot for row in self._changed if row.fence]
        self.spans |= read_spans(connection, self.study, of)

    def with_trials(self, database: Database) -> list[TrialStatus]:
        """Of every slot, with what Optuna has of the trials of those that were read."""
        trials: dict[int, FrozenTrial] = {}
        first = self._work == "trial" and not self._statuses  # it tells of a study that is not there
        if first or any(row.trial_id for row in self._changed):
            trials = {trial_id(trial): trial for trial in read_trials(database, self.study)}
        if self._changed:
            seconds = seconds_of(self.spans)
            for row in self._changed:
                self._statuses[row.slot] = _trial_status(row, trials, seconds.get(row.slot), self._work)
            self._unsettled = {slot for slot, status in self._statuses.items() if not status.state.settled}
            self._statuses = dict(sorted(self._statuses.items()))
        return list(self._statuses.values())


def _trial_status(
    row: SlotRow, trials: Mapping[int, FrozenTrial], seconds: float | None, work: Literal["trial", "confirmation"]
) -> TrialStatus:
    trial = trials.get(row.trial_id or -1)
    if trial is None:
        return TrialStatus(**vars(row), work=work, seconds=seconds)
    last = trial.last_step
    accuracy = None if last is None else trial.intermediate_values[last]
    if trial.state is TrialState.COMPLETE:
        accuracy = trial.values[0]
    return TrialStatus(
        **vars(row),
        work=work,
        number=trial.number,
        parameters=parameters_of(trial),
        epoch=last or 0,
        accuracy=accuracy,
        seconds=seconds,
    )
