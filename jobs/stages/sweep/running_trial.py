"""A trial while it trains: what the training loop asks and tells."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jobs.artifacts.checkpoint_writer import CheckpointWriter
from jobs.artifacts.checkpoints import Checkpoints
from jobs.experiment.experiment import Experiment
from jobs.queue.claim import Claim
from jobs.queue.claimed_trial import ClaimedTrial
from jobs.queue.tables import SlotState
from jobs.runtime.errors import Failure
from resnet_core.epoch import EpochResult
from resnet_core.shown_accuracy import percent

log = logging.getLogger(__name__)

T = TypeVar("T")


class TrialEnds(Exception):
    """Raised by the training to end the trial without a value."""

    def __init__(self, state: SlotState, message: str) -> None:
        super().__init__(message)
        self.state = state


class AttemptFails(Exception):
    """Raised by the training: costs an attempt as any exception does, but its message is enough without a traceback."""


class DeviceFailed(Failure):
    """Raised by the training where the device has failed, after which nothing can be run on it in this process."""


class RunningTrial:
    """One owner's training of a trial. Its methods raise as `step` does while they wait for a service."""

    def __init__(
        self,
        claimed: ClaimedTrial,
        held: Claim,
        checkpoints: Checkpoints,
        *,
        name: str,
        experiment: Experiment,
        checkpoint_seconds: float,
        step: Callable[[], None],
        beat: Callable[[], None],
    ) -> None:
        self._claimed, self._held, self._name = claimed, held, name
        self._checkpoints, self._checkpoint_seconds = checkpoints, checkpoint_seconds
        # To be called before every step: it raises LeaseLost where the trial is somebody else's by now, and Interrupted
        # where the process was asked to end.
        self.step = step
        self._beat = beat  # as `step`, but it goes on where the process was asked to end
        self.slot = held.slot
        self.experiment = experiment  # the sweep's, or that of its confirmations
        self.parameters: dict[str, Any] = claimed.parameters
        self.facts: dict[str, float] = {}
        self.epochs: list[EpochResult] = []
        self.validation_images: int | None = None  # that accuracies are of, for the log

    def note(self, **facts: float) -> None:
        """Stores facts with the trial; to be called before the first step, with every objective but the accuracy."""
        self.facts |= facts
        for name, value in facts.items():
            self._claimed.set_attribute(name, value)

    def note_excess(self, excess: int) -> None:
        """Tells the sampler by how many parameters the network is over its budget."""
        self._claimed.set_excess(excess)

    def resume(self, read: Callable[[Path], T]) -> T | None:
        """What `read` makes of the newest checkpoint; None where the trial begins."""
        return self._checkpoints.load(read) if self._held.fence > 1 else None

    def take_up(self, epochs: list[EpochResult]) -> None:
        """To be called with the epochs of a checkpoint; reports those that the database lacks.

        Raises:
            TrialEnds: early stopping has ended the trial with the last of them.

        """
        self.epochs = epochs
        if epochs:
            self._report()

    def checkpoint_writer(self, prepare: Callable[[T], Callable[[Path], None]]) -> CheckpointWriter[T]:
        """Writes the trial's checkpoints, as `prepare` wants them written."""
        return CheckpointWriter(self._checkpoints, self._checkpoint_seconds, self._beat, prepare)

    def finish_epoch(self, epoch: EpochResult) -> None:
        """Reports the epoch, whether or not there is a checkpoint of it.

        Raises:
            TrialEnds: early stopping ends the trial here.

        """
        self.epochs.append(epoch)
        name = f"{self._name} epoch {epoch.epoch}/{self.experiment.sweep.epochs}"
        accuracy = percent(epoch.validation_accuracy, self.validation_images)
        loss, seconds = epoch.train_loss, epoch.seconds
        log.info("%s: training loss %.4f, validation accuracy %s, %.1f s", name, loss, accuracy, seconds)
        self._report()

    @property
    def accuracy(self) -> float:
        """On the validation images, after the last epoch."""
        accuracy = self.epochs[-1].validation_accuracy
        assert accuracy is not None
        return accuracy

    def _report(self) -> None:
        accuracies = {e.epoch: e.validation_accuracy for e in self.epochs if e.validation_accuracy is not None}
        assert len(accuracies) == len(self.epochs)
        if self._claimed.report(accuracies):
            raise TrialEnds(SlotState.STOPPED_EARLY, f"after epoch {self.epochs[-1].epoch}")
