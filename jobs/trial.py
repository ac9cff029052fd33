"""One trial, from a claimed slot to its settlement: the protocol, whatever it is that trains."""

import json
import logging
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from jobs import interrupt, slots
from jobs.artifacts import Artifacts
from jobs.checkpoints import Checkpoints
from jobs.database import database_place
from jobs.experiment import Experiment
from jobs.failure import Failure
from jobs.lease import Lease
from jobs.outage import NotAcknowledged, is_outage, patiently
from jobs.settings import Settings
from jobs.slots import Claim, LeaseLost
from jobs.storage import FencedStorage
from jobs.study import load_study, suggest
from jobs.tables import SlotState
from resnet_core.epoch import EpochResult

log = logging.getLogger(__name__)

T = TypeVar("T")

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


class TrialEnds(Exception):
    """Raised by what trains: the trial is settled as it is, without a value."""

    def __init__(self, state: SlotState, message: str) -> None:
        super().__init__(message)
        self.state = state


@dataclass(frozen=True)
class Outcome:
    state: SlotState
    message: str | None = None
    traceback: str | None = None


@dataclass(frozen=True)
class Workplace:
    """What a worker process has for every trial. `artifacts` are the study's.

    `storage` writes, and `cached` is the same storage as Optuna's studies read it.
    """

    experiment: Experiment
    settings: Settings
    artifacts: Artifacts
    storage: FencedStorage
    cached: BaseStorage


class TrialRun:
    """One owner's time with a trial."""

    def __init__(self, place: Workplace, held: Claim, lease: Lease) -> None:
        self._place, self._held, self._lease = place, held, lease
        self._trial: optuna.trial.Trial | None = None
        self._checkpoints: Checkpoints | None = None
        self.slot = held.slot
        self.number = -1
        self.parameters: dict[str, Any] = {}
        self.epochs: list[EpochResult] = []

    # What trains uses these.

    def step(self) -> None:
        """To be called before every step.

        Raises:
            LeaseLost: the trial is somebody else's by now.
            Interrupted: the process was asked to end.

        """
        interrupt.check()
        self._lease.beat()

    def note(self, name: str, value: Any) -> None:
        """Keeps a fact about the trial with it."""
        self._with_database(lambda: self.trial.set_user_attr(name, value))

    def note_excess(self, excess: int) -> None:
        """Tells the sampler by how many parameters the network is over its budget."""

        def write() -> None:
            if not self.trial.constraints:
                self.trial.set_constraint("parameters over budget", excess)

        self._with_database(write)

    def resume(self, read: Callable[[Path], T]) -> T | None:
        """What `read` makes of the newest checkpoint; None where the trial begins."""
        return self._with_artifacts(lambda: self.checkpoints.load(read)) if self._held.fence > 1 else None

    def take_up(self, epochs: list[EpochResult]) -> None:
        """To be called with the epochs of a checkpoint. What the database lacks of them is told.

        Raises:
            TrialEnds: early stopping has ended the trial with the last of them.

        """
        self.epochs = epochs
        self._report()

    def finish_epoch(self, epoch: EpochResult, write: Callable[[Path], None]) -> None:
        """Checkpoint, then value and stop decision: whoever takes over finds the decision that was made.

        Raises:
            TrialEnds: early stopping ends the trial here.

        """
        self.epochs.append(epoch)
        self._with_artifacts(lambda: self.checkpoints.save(write))
        log.info(
            "trial %d epoch %d/%d: training loss %.4f, validation accuracy %.4f, %.1f s",
            self.number,
            epoch.epoch,
            self._place.experiment.sweep.epochs,
            epoch.train_loss,
            epoch.validation_accuracy,
            epoch.seconds,
        )
        self._report()

    @property
    def trial(self) -> optuna.trial.Trial:
        assert self._trial is not None
        return self._trial

    @property
    def checkpoints(self) -> Checkpoints:
        assert self._checkpoints is not None
        return self._checkpoints

    # The worker uses these.

    def to_the_end(self, body: Callable[["TrialRun"], None]) -> None:
        """Trains, unless that is done, and settles; or gives the slot back after an exception.

        Raises:
            LeaseLost, Interrupted, Failure: it is not settled, and the slot is as it was.

        """
        outcome = self._train(body)
        if outcome is None:
            return
        if outcome.state in (SlotState.DIVERGED, SlotState.FAILED) and self._checkpoints is not None:
            self._with_artifacts(lambda: self.checkpoints.save_outcome(asdict(outcome)))
        if self.epochs:
            rows = "".join(json.dumps(asdict(epoch)) + "\n" for epoch in self.epochs)
            key = f"trials/{self.number}/epochs.jsonl"
            self._with_artifacts(lambda: self._place.artifacts.write_text(key, rows))
        self._with_database(lambda: self._settle(outcome), beat=interrupt.check)  # the fence guards it, not the lease
        log.info("trial %d %s%s", self.number, outcome.state, f": {outcome.message}" if outcome.message else "")

    def _train(self, body: Callable[["TrialRun"], None]) -> Outcome | None:
        limits = self._place.settings
        try:
            if self._held.crashes >= limits.max_crashes:
                lost = f"{self._held.crashes} processes ended without a word while they ran it"
                return Outcome(SlotState.CRASHED, lost)
            self._with_database(self._attach)
            decided = self._decided()
            if decided is None:
                log.info(
                    "trial %d %s: %s",
                    self.number,
                    "begins" if self._held.fence == 1 else "is taken up",
                    json.dumps(self.parameters),
                )
                body(self)
        except TrialEnds as end:
            return Outcome(end.state, str(end))
        except (LeaseLost, interrupt.Interrupted, Failure):
            raise
        except Exception as error:
            if is_outage(error):  # costs no attempt
                log.warning("slot %d: %s; the trial is dropped", self.slot, error)
                self._with_database(lambda: slots.give_back(self._place.storage.engine, self._held))
                return None
            log.exception("slot %d failed", self.slot)
            message = f"{type(error).__name__}: {error}".replace("\0", "")
            text = traceback.format_exc().replace("\0", "")
            if self._held.attempts + 1 < limits.max_attempts:
                self._with_database(
                    lambda: slots.give_back(
                        self._place.storage.engine, self._held, failed=True, message=message, traceback=text
                    )
                )
                return None
            return Outcome(SlotState.FAILED, message, text)
        return decided or Outcome(SlotState.COMPLETE)

    def _attach(self) -> None:
        """The trial of the slot, made now if there is none yet, with its parameters."""
        experiment, storage = self._place.experiment, self._place.storage
        study = load_study(experiment, self._place.cached, self.slot)
        trial_id = self._held.trial_id
        if trial_id is None:  # another try of this may have made it
            trial_id = slots.read_own(storage.engine, self._held)[1]
        if trial_id is None:
            try:
                trial_id = self._create_trial(study)
            except slots.TrialAttached as attached:
                trial_id = attached.trial_id
        study.get_trials(deepcopy=False)  # Optuna's cache takes writes only for trials it has seen
        self._trial = optuna.trial.Trial(study, trial_id)
        self.number = self._trial.number
        self._checkpoints = Checkpoints(self._place.artifacts, f"trials/{self.number}", self._held.fence)
        frozen = self._place.cached.get_trial(trial_id)
        if frozen.state.is_finished():
            raise TrialEnds(SLOT_STATES[frozen.state], "Optuna had it as finished")
        self.parameters = suggest(self._trial, experiment)

    def _create_trial(self, study: optuna.Study) -> int:
        """A running trial of Optuna's; the storage writes its id into the slot in the same transaction."""
        fixed = json.loads(self._held.parameters)
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING, system_attrs={"fixed_params": fixed} if fixed else {}
        )
        template.datetime_start = datetime.now()
        return self._place.storage.create_new_trial(study._study_id, template)

    def _decided(self) -> Outcome | None:
        """How the trial ended for a former owner who did not get to settle it."""
        if self._held.fence == 1:
            return None
        saved = self._with_artifacts(self.checkpoints.load_outcome)
        return Outcome(SlotState(saved["state"]), saved["message"], saved["traceback"]) if saved else None

    def _report(self) -> None:
        """Tells Optuna the values it does not have yet, and obeys early stopping on the last of them."""
        last = self.epochs[-1].epoch
        if self._with_database(self._report_once):
            raise TrialEnds(SlotState.STOPPED_EARLY, f"after epoch {last}")

    def _report_once(self) -> bool:
        """Returns whether early stopping ends the trial here."""
        storage, study, trial_id = self._place.storage, self.trial.study, self.trial._trial_id
        known = storage.get_trial(trial_id)
        for epoch in self.epochs:
            if epoch.epoch not in known.intermediate_values:  # also what a failed-over database has forgotten
                assert epoch.validation_accuracy is not None
                storage.set_trial_intermediate_value(trial_id, epoch.epoch, epoch.validation_accuracy)
                known.intermediate_values[epoch.epoch] = epoch.validation_accuracy
        last, sweep = self.epochs[-1].epoch, self._place.experiment.sweep
        if last == sweep.epochs or sweep.early_stopping.name == "none":
            return False
        stops = study.pruner.prune(study, known)
        return slots.decide_stop(storage.engine, self._held, last, stops=stops)

    def _settle(self, outcome: Outcome) -> None:
        value = self.epochs[-1].validation_accuracy if outcome.state is SlotState.COMPLETE else None
        settle_trial(self._place.storage, self._held, outcome, value)

    def _with_database(self, action: Callable[[], T], beat: Callable[[], None] | None = None) -> T:
        settings = self._place.settings
        return patiently(
            action,
            place=database_place(settings.database_url),
            deadline_seconds=settings.outage_deadline_seconds,
            beat=beat or self.step,
        )

    def _with_artifacts(self, action: Callable[[], T]) -> T:
        return patiently(
            action,
            place=self._place.artifacts.location,
            deadline_seconds=self._place.settings.outage_deadline_seconds,
            beat=self.step,
        )


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
    if trial_id is None or not _is_running(storage, trial_id):
        with storage.engine.begin() as connection:
            slots.settle(connection, held, *storage.outcome)
        return
    values = None if value is None else [value]
    if not storage.set_trial_state_values(trial_id, OPTUNA_STATES[outcome.state], values):
        raise NotAcknowledged(f"slot {held.slot}: Optuna has not taken the trial's end")


def _is_running(storage: FencedStorage, trial_id: int) -> bool:
    try:
        return not storage.get_trial(trial_id).state.is_finished()
    except KeyError:  # there is no such trial
        return False
