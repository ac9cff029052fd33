"""One attempt at a trial, from the claimed slot to its settlement, whatever function does the training."""

import json
import logging
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass

from jobs.artifacts import WaitingArtifacts
from jobs.artifacts.checkpoints import Checkpoints
from jobs.artifacts.guarded import GuardedArtifacts
from jobs.artifacts.keys import trial_epochs_key, trial_prefix
from jobs.experiment.experiment import Experiment
from jobs.queue.claim import Claim, LeaseLost
from jobs.queue.claimed_trial import ClaimedTrial, settle_trial
from jobs.queue.database import Database
from jobs.queue.lease import Lease
from jobs.queue.outcomes import Outcome
from jobs.queue.tables import SlotState
from jobs.runtime import interrupt
from jobs.runtime.errors import Failure
from jobs.runtime.retry import Patience
from jobs.runtime.settings import Settings
from jobs.stages.sweep.running_trial import AttemptFails, DeviceFailed, RunningTrial, TrialEnds
from resnet_core.shown_text import visible_lines

log = logging.getLogger(__name__)

Train = Callable[[RunningTrial], None]


@dataclass(frozen=True)
class Workplace:
    """What a process has for every trial of a study. `artifacts` are the study's; `work` is what one is called."""

    experiment: Experiment
    settings: Settings
    artifacts: WaitingArtifacts
    database: Database
    work: str = "trial"

    @property
    def study(self) -> str:
        return self.experiment.study_name


class Attempt:
    """One owner's attempt. While the trial runs, an outage is waited for only as long as the lease is kept."""

    def __init__(self, place: Workplace, held: Claim, lease: Lease) -> None:
        def step() -> None:
            interrupt.check()
            lease.beat()

        def beat() -> None:
            interrupt.beat()
            lease.beat()

        patience = Patience(place.settings.outage_deadline_seconds, step)
        self._place, self._held, self._step, self._beat = place, held, step, beat
        self._artifacts = GuardedArtifacts(place.artifacts.waiting(patience), lease.beat)
        self._claimed = ClaimedTrial(place.database.waiting(patience), place.experiment, held)
        self._checkpoints: Checkpoints | None = None
        self._running: RunningTrial | None = None

    def to_the_end(self, train: Train) -> bool:
        """Trains, unless that is done, and settles; or gives the slot back after an exception.

        Returns whether the trial is settled.

        Raises:
            DeviceFailed: the slot is given back.
            LeaseLost, Interrupted, Failure: the trial is not settled, and the slot is unchanged.

        """
        try:
            outcome = self._train(train)
        except TrialEnds as end:
            outcome = Outcome(end.state, str(end))
        except DeviceFailed as failed:
            self._claimed.give_back(Outcome(SlotState.FAILED, str(failed)), of_device=True)
            raise
        except (LeaseLost, interrupt.Interrupted, Failure):
            raise
        except Exception as error:
            outcome = _failure(self._held.slot, error)
            if self._claimed.may_be_tried_again(self._place.settings):
                self._claimed.give_back(outcome)
                return False
        self._keep(outcome)
        self._settle(outcome)
        reason = f": {outcome.message}" if outcome.message else ""
        log.info("%s %s%s", self._name, outcome.state, reason)
        return True

    def _train(self, train: Train) -> Outcome:
        if self._held.crashes >= self._place.settings.max_crashes:
            return Outcome(SlotState.CRASHED, f"{self._held.crashes} processes ended without a word while they ran it")
        finished = self._claimed.attach()
        self._checkpoints = Checkpoints(self._artifacts, trial_prefix(self._claimed.number), self._claimed.owners)
        decided = finished or self._decided(self._checkpoints)
        if decided is not None:
            return decided
        begins = "begins" if self._held.fence == 1 else "is taken up"
        log.info("%s %s: %s", self._name, begins, json.dumps(self._claimed.parameters, allow_nan=False))
        self._running = RunningTrial(
            self._claimed,
            self._held,
            self._checkpoints,
            name=self._name,
            experiment=self._place.experiment,
            checkpoint_seconds=self._place.settings.checkpoint_seconds,
            step=self._step,
            beat=self._beat,
        )
        train(self._running)
        return Outcome(SlotState.COMPLETE)

    @property
    def _name(self) -> str:
        return f"{self._place.work} {self._claimed.number}"

    def _decided(self, checkpoints: Checkpoints) -> Outcome | None:
        """How the trial ended for a former owner who did not get to settle it."""
        saved = checkpoints.load_outcome() if self._held.fence > 1 else None
        return Outcome(SlotState(saved["state"]), saved["message"], saved["traceback"]) if saved else None

    def _keep(self, outcome: Outcome) -> None:
        """Stores an outcome that a later owner could not reproduce, and the log of the epochs."""
        if outcome.state in (SlotState.DIVERGED, SlotState.FAILED) and self._checkpoints is not None:
            self._checkpoints.save_outcome(asdict(outcome))
        if self._running is not None and self._running.epochs:
            rows = "".join(json.dumps(asdict(epoch), allow_nan=False) + "\n" for epoch in self._running.epochs)
            self._artifacts.write_text(trial_epochs_key(self._claimed.number), rows)

    def _settle(self, outcome: Outcome) -> None:
        """Waits for the database without regard to the lease: the fence makes sure that no other owner has settled."""
        objectives, values = self._place.experiment.sweep.objectives, None
        if outcome.state is SlotState.COMPLETE and self._running is not None:
            values = [self._running.accuracy, *(self._running.facts[objective] for objective in objectives[1:])]
        known = self._claimed.known
        settle_trial(self._place.database, self._held, outcome, values, trial=known, objectives=len(objectives))


def _failure(slot: int, error: Exception) -> Outcome:
    """Logs an exception, and returns the outcome that the trial has if this was its last attempt."""
    if isinstance(error, AttemptFails):
        log.error("slot %d failed: %s", slot, error)
        return Outcome(SlotState.FAILED, str(error))
    log.error("slot %d failed", slot, exc_info=error)
    message = visible_lines(f"{type(error).__name__}: {error}")  # a database does not take every character
    return Outcome(SlotState.FAILED, message, visible_lines("".join(traceback.format_exception(error))))
