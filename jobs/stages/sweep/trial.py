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

from jobs.artifacts import Artifacts
from jobs.artifacts.checkpoints import Checkpoints
from jobs.experiment.experiment import Experiment
from jobs.queue import claims
from jobs.queue.claims import Claim, LeaseLost
from jobs.queue.fenced_storage import FencedStorage
from jobs.queue.lease import Lease
from jobs.queue.outcomes import SLOT_STATES, Outcome, settle_trial
from jobs.queue.study import load_study, suggest
from jobs.queue.tables import SlotState
from jobs.runtime import interrupt, logs
from jobs.runtime.database_url import database_place
from jobs.runtime.errors import Failure
from jobs.runtime.retry import is_outage, patiently
from jobs.runtime.settings import Settings
from resnet_core.epoch import EpochResult

log = logging.getLogger(__name__)

T = TypeVar("T")


class TrialEnds(Exception):
    """Raised by what trains: the trial is settled as it is, without a value."""

    def __init__(self, state: SlotState, message: str) -> None:
        super().__init__(message)
        self.state = state


class AttemptFails(Exception):
    """Raised by what trains: costs an attempt, as any exception, but its message says all and no traceback is kept."""


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
        self._uncertain = False  # whether the last report has gone through
        self.slot = held.slot
        self.number = -1
        self.parameters: dict[str, Any] = {}
        self.facts: dict[str, float] = {}
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

    def note(self, **facts: float) -> None:
        """Keeps facts about the trial with it; to be called before it trains, with all that is an objective."""
        self.facts |= facts
        for name, value in facts.items():
            self._with_database(lambda name=name, value=value: self.trial.set_user_attr(name, value))  # type: ignore[misc]

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
                self._with_database(lambda: claims.give_back(self._place.storage.engine, self._held))
                return None
            return self._fail(error)
        return decided or Outcome(SlotState.COMPLETE)

    def _fail(self, error: Exception) -> Outcome | None:
        """Gives the slot back after an exception; with the last attempt, the trial has failed."""
        if isinstance(error, AttemptFails):
            log.error("slot %d failed: %s", self.slot, error)
            message, text = str(error), None
        else:
            log.error("slot %d failed", self.slot, exc_info=error)
            message = f"{type(error).__name__}: {error}".replace("\0", "")
            text = "".join(traceback.format_exception(error)).replace("\0", "")
        if self._held.attempts + 1 >= self._place.settings.max_attempts:
            return Outcome(SlotState.FAILED, message, text)
        engine = self._place.storage.engine
        self._with_database(lambda: claims.give_back(engine, self._held, failed=True, message=message, traceback=text))
        return None

    def _attach(self) -> None:
        """The trial of the slot, made now if there is none yet, with its parameters."""
        experiment = self._place.experiment
        study = load_study(experiment, self._place.cached, self.slot)
        trial_id, seen = self._held.trial_id, False
        if trial_id is None:
            try:
                trial_id, seen = self._create_trial(study), True
            except claims.TrialAttached as attached:  # by a try before this one, whose reply was lost
                trial_id = attached.trial_id
        if not seen:
            study.get_trials(deepcopy=False)  # Optuna's cache takes writes only for trials it has seen
        self._trial = optuna.trial.Trial(study, trial_id)
        self.number = self._trial.number
        logs.add_context(trial=self.number)
        self._checkpoints = Checkpoints(self._place.artifacts, f"trials/{self.number}", self._held.fence)
        state = self._trial._cached_frozen_trial.state
        if state.is_finished():
            raise TrialEnds(SLOT_STATES[state], "Optuna had it as finished")
        self.parameters = suggest(self._trial, experiment, json.loads(self._held.parameters))

    def _create_trial(self, study: optuna.Study) -> int:
        """A running trial of Optuna's; the storage writes its id into the slot in the same transaction."""
        fixed = json.loads(self._held.parameters)
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING, system_attrs={"fixed_params": fixed} if fixed else {}
        )
        template.datetime_start = datetime.now()
        return self._place.cached.create_new_trial(study._study_id, template)

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
        storage, trial_id = self._place.storage, self.trial._trial_id
        if self._uncertain:  # a database that has failed over may have forgotten what it had acknowledged
            self._trial = optuna.trial.Trial(self.trial.study, trial_id)
        self._uncertain = True
        known = self.trial._cached_frozen_trial.intermediate_values
        for epoch in self.epochs:
            if epoch.epoch not in known:
                assert epoch.validation_accuracy is not None
                storage.set_trial_intermediate_value(trial_id, epoch.epoch, epoch.validation_accuracy)
                known[epoch.epoch] = epoch.validation_accuracy
        last, sweep, stops = self.epochs[-1].epoch, self._place.experiment.sweep, False
        if last < sweep.epochs and sweep.early_stopping.name != "none":
            stops = bool(self.trial.should_prune())  # numpy's, of some pruners
            stops = claims.decide_stop(storage.engine, self._held, last, stops=stops)
        self._uncertain = False
        return stops

    def _settle(self, outcome: Outcome) -> None:
        objectives, values = self._place.experiment.sweep.objectives, None
        if outcome.state is SlotState.COMPLETE:
            accuracy = self.epochs[-1].validation_accuracy
            assert accuracy is not None
            values = [accuracy, *(self.facts[objective] for objective in objectives[1:])]
        settle_trial(self._place.storage, self._held, outcome, values, objectives=len(objectives))

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
