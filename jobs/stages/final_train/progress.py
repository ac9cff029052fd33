"""How far a final training is: its epochs, its checkpoint, and if asked for the weights of its best epoch."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from jobs.artifacts import Artifacts
from jobs.artifacts.checkpoint_writer import CheckpointWriter
from jobs.artifacts.checkpoints import Checkpoints
from jobs.artifacts.final_training import epochs_text
from jobs.artifacts.keys import EPOCHS
from jobs.experiment.experiment import FinalTrainConfig
from jobs.queue.status import duration
from jobs.runtime import logs
from resnet_core.checkpoint import load_checkpoint, save_checkpoint
from resnet_core.epoch import EpochResult
from resnet_core.model import ResNet
from resnet_core.shown_accuracy import percent
from resnet_core.training_state import Checkpoint

log = logging.getLogger(__name__)

LINE_SECONDS = 10  # between two lines of the log, where epochs are shorter


class Progress:
    """The progress with one seed, which checkpoints hold, so that a later process can continue."""

    def __init__(
        self,
        out: Artifacts,
        checkpoints: Checkpoints,
        config: FinalTrainConfig,
        seed: int,
        validation_images: int | None,
    ) -> None:
        """`out` is the folder of the claim under which this process trains."""
        self._out, self._checkpoints = out, checkpoints
        self._config, self._seed, self._validation_images = config, seed, validation_images
        self._best: dict[str, Any] | None = None
        self._told = float("-inf")
        self.epochs: list[EpochResult] = []
        # What the training computes in. Of one that version 0.1.0 has finished nobody knows; float32 is always right.
        self.precision = "float32"

    def resume(self) -> Checkpoint | None:
        """What `train` continues from: its part of the newest checkpoint, or None if there is none."""
        saved = self._checkpoints.load(load_checkpoint)
        if saved is None:
            return None
        self.epochs = [EpochResult(**row) for row in saved["epochs"]]
        self._best = saved["best"]
        log.info("final training goes on after %d of %d epochs", len(self.epochs), self._config.epochs)
        training: Checkpoint = saved["training"]
        if "arithmetic" in training:
            self.precision = training["arithmetic"]["precision"]
        return training

    def checkpoint_writer(self, seconds: float, beat: Callable[[], None]) -> CheckpointWriter[Checkpoint]:
        """Writes the training's checkpoints together with what this object knows by then."""

        def prepare(training: Checkpoint) -> Callable[[Path], None]:
            self.precision = training["arithmetic"]["precision"]
            rows = [asdict(epoch) for epoch in self.epochs]
            return partial(save_checkpoint, {"training": training, "epochs": rows, "best": self._best})

        return CheckpointWriter(self._checkpoints, seconds, beat, prepare)

    @logs.context()
    def on_epoch(self, result: EpochResult, evaluated: ResNet) -> None:
        """Keeps the weights of the best epoch if they are selected, and logs the epoch now and then, and the last."""
        logs.add_context(epoch=result.epoch)
        self.epochs.append(result)
        accuracy = result.validation_accuracy
        selects = self._config.select == "best" and accuracy is not None
        if selects and (self._best is None or accuracy > self._best["accuracy"]):
            weights = {name: tensor.to("cpu", copy=True) for name, tensor in evaluated.state_dict().items()}
            self._best = {"epoch": result.epoch, "accuracy": accuracy, "weights": weights}
        self._out.write_text(EPOCHS, epochs_text(self.epochs))
        now = time.monotonic()
        if now - self._told >= LINE_SECONDS or result.epoch == self._config.epochs:
            self._told = now
            self._tell(result)

    def _tell(self, result: EpochResult) -> None:
        accuracy = result.validation_accuracy
        name = f"epoch {result.epoch}/{self._config.epochs}"
        name += "" if self._config.seeds == 1 else f" with seed {self._seed}"
        validation = "" if accuracy is None else f", validation accuracy {percent(accuracy, self._validation_images)}"
        loss, seconds, left = result.train_loss, result.seconds, self._config.epochs - result.epoch
        after = f", about {duration(left * fmean(epoch.seconds for epoch in self.epochs))} left" if left else ""
        after += " with this seed" if after and self._config.seeds > 1 else ""
        log.info("final training %s: training loss %.4f%s, %.1f s%s", name, loss, validation, seconds, after)

    def chosen_weights(self, trained: ResNet) -> dict[str, torch.Tensor]:
        """Those of the best epoch if it is selected, else those that the training ended with."""
        weights: dict[str, torch.Tensor] = self._best["weights"] if self._best else trained.state_dict()
        return weights

    @property
    def chosen_epoch(self) -> EpochResult:
        """The epoch that the chosen weights are of."""
        return self.epochs[int(self._best["epoch"]) - 1] if self._best else self.epochs[-1]
