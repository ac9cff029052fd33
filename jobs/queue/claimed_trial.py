"""The trial of a claimed slot, in Optuna and in the slot at once. All that is written here is fenced by the claim."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import optuna
from optuna.trial import FrozenTrial, TrialState

from jobs.experiment.experiment import Experiment
from jobs.queue import claims
from jobs.queue.claim import Claim, LeaseLost, TrialAttached
from jobs.queue.database import Database
from jobs.queue.optuna_internals import known_trial, trial_id
from jobs.queue.optuna_values import stored_parameters
from jobs.queue.outcomes import SLOT_STATES, Outcome, optuna_state
from jobs.queue.study import load_study, suggest
from jobs.runtime import logs
from jobs.runtime.errors import Unreachable
from jobs.runtime.settings import Settings

T = TypeVar("T")

OVER_BUDGET = "parameters over budget"  # Optuna's constraint


class NotAcknowledged(Unreachable):
    """The database did not take a write, so that it has to be written again."""


class ClaimedTrial:
    """What its owner tells Optuna of a trial. Every method raises LeaseLost once somebody else has claimed the slot."""

    def __init__(self, database: Database, experiment: Experiment, held: Claim) -> None:
        self._database, self._experiment, self._held = database, experiment, held
        self._trial: optuna.trial.Trial | None = None
        self._uncertain = False  # whether it is unknown if the last report was stored
        self.number = -1
        self.owners = {held.fence: held.owner}  # with the former ones, by their fences, once it is attached
        self.parameters: dict[str, Any] = {}

    def attach(self) -> Outcome | None:
        """Creates the trial in Optuna unless it exists, and sets `number` and `parameters`.

        Returns how the trial has ended if Optuna has it as finished, else None.
        """
        if self._held.fence > 1:
            study, slot = self._held.study, self._held.slot
            self.owners |= self._database.read(lambda connection: claims.owners(connection, study, slot))
        return self._run(self._attach)

    def set_attribute(self, name: str, value: float) -> None:
        self._run(lambda: self._attached.set_user_attr(name, value))

    def set_excess(self, excess: int) -> None:
        """Tells the sampler by how many parameters the network is over its budget."""

        def write() -> None:
            if not self._attached.constraints:
                self._attached.set_constraint(OVER_BUDGET, excess)

        self._run(write)

    def report(self, accuracies: Mapping[int, float]) -> bool:
        """Stores the accuracies by epoch that Optuna lacks; returns whether early stopping ends the trial now."""
        return self._run(lambda: self._report(accuracies))

    def may_be_tried_again(self, limits: Settings) -> bool:
        """Whether an attempt that fails now leaves the trial others."""
        attempts, lease = limits.max_attempts, limits.lease_seconds
        return self._database.read(lambda reading: claims.may_be_tried_again(reading, self._held, attempts, lease))

    def give_back(self, failure: Outcome, *, of_device: bool = False) -> None:
        """Frees the slot after a failed attempt, for the next owner."""
        self._database.write(lambda connection: claims.give_back(connection, self._held, failure, of_device=of_device))

    def _attach(self) -> Outcome | None:
        study = load_study(self._experiment, self._database.cached_storage, self._held.slot)
        key, seen = self._held.trial_id, False
        if key is None:
            try:
                key, seen = self._create(study), True
            except TrialAttached as attached:  # an earlier try created it, and only the reply was lost
                key = attached.trial_id
        if not seen:
            study.get_trials(deepcopy=False)  # Optuna's cache accepts writes only for trials that it has read
        self._trial = optuna.trial.Trial(study, key)
        self.number = self._trial.number
        logs.add_context(trial=self.number)
        state = known_trial(self._trial).state
        if state.is_finished() and self._database.storage.is_running(key):
            self._database.forget_cached()  # it is of a database that has failed over since, and has forgotten the end
            return self._attach()
        if state.is_finished():
            return Outcome(SLOT_STATES[state], "Optuna had it as finished")
        self.parameters = suggest(self._trial, self._experiment, json.loads(self._held.parameters))
        return None

    def _create(self, study: optuna.Study) -> int:
        """Creates a running trial in Optuna; the storage writes its id into the slot in the same transaction."""
        fixed = json.loads(self._held.parameters)
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING, system_attrs={"fixed_params": stored_parameters(fixed)} if fixed else {}
        )
        template.datetime_start = datetime.now()
        storage = self._database.cached_storage
        return storage.create_new_trial(storage.get_study_id_from_name(study.study_name), template)

    def _report(self, accuracies: Mapping[int, float]) -> bool:
        storage, trial = self._database.storage, known_trial(self._attached)
        if self._uncertain:
            storage.write_missing(trial)
        self._uncertain = True
        for epoch, accuracy in accuracies.items():
            if epoch not in trial.intermediate_values:
                storage.set_trial_intermediate_value(trial_id(trial), epoch, accuracy)
                trial.intermediate_values[epoch] = accuracy
        last, sweep, stops = max(accuracies), self._experiment.sweep, False
        # A former owner, whose checkpoint is older than its last report, has decided to go on after this epoch.
        decided = last < max(trial.intermediate_values)
        if last < sweep.epochs and sweep.early_stopping.name != "none" and not decided:
            stops = bool(self._attached.should_prune())  # some pruners return numpy's bool
            with self._database.engine.begin() as connection:
                stops = claims.decide_stop(connection, self._held, last, stops=stops)
        self._uncertain = False
        return stops

    @property
    def known(self) -> FrozenTrial | None:
        """The trial with all that Optuna has been told of it; None before it is attached."""
        return known_trial(self._trial) if self._trial is not None else None

    @property
    def _attached(self) -> optuna.trial.Trial:
        assert self._trial is not None
        return self._trial

    def _run(self, action: Callable[[], T]) -> T:
        def fenced() -> T:
            try:
                with self._database.storage.under(self._held):
                    return action()
            except KeyError:  # Optuna finds no such trial: a database that has failed over may have forgotten it
                with self._database.engine.begin() as connection:
                    claims.check_fence(connection, self._held)
                if self._trial is not None and not self._database.storage.is_running(trial_id(self._trial)):
                    raise LeaseLost(f"slot {self._held.slot}: the database has forgotten its trial") from None
                raise

        return self._database.run(fenced)


def settle_trial(
    database: Database,
    held: Claim,
    outcome: Outcome,
    values: list[float] | None = None,
    *,
    trial: FrozenTrial | None = None,
    objectives: int = 1,
) -> None:
    """Ends a trial and its slot in one transaction, unless an earlier try has done so.

    Args:
        database: of the study.
        held: the slot.
        outcome: what became of the trial.
        values: one for each objective, of a complete trial.
        trial: what its owner has told Optuna of it, of which the database may have forgotten some.
        objectives: how many the study has.

    Raises:
        LeaseLost: somebody else has claimed the slot since, or the database has forgotten the trial.

    """

    def settle() -> None:
        storage = database.storage
        with database.engine.connect() as connection:
            state, key = claims.read_own(connection, held)
        if state.settled:
            return
        if key is None and trial is not None:
            raise LeaseLost(f"slot {held.slot}: the database has forgotten its trial")
        if key is None or not storage.is_running(key):
            with database.engine.begin() as connection:
                claims.settle(connection, held, outcome)
            return
        with storage.under(held, outcome):
            if trial is not None:
                storage.write_missing(trial)
            if not storage.set_trial_state_values(key, optuna_state(outcome.state, objectives), values):
                raise NotAcknowledged(f"slot {held.slot}: Optuna has not taken the trial's end")

    database.run(settle)
