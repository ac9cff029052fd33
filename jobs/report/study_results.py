"""All that a report tells of: what evaluation, final training and sweep have left."""

from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial

from jobs.experiment.experiment import Experiment
from jobs.queue.status import SweepStatus
from resnet_core.epoch import EpochResult


@dataclass(frozen=True)
class Findings:
    """Of one study.

    `metrics` is metrics.json, `models` and `epochs` have an entry for each seed of the final training, and the trials'
    intermediate values are validation accuracies by epoch.
    """

    experiment: Experiment
    metrics: dict[str, Any]
    models: list[dict[str, Any]]
    epochs: list[list[EpochResult]]
    status: SweepStatus
    trials: list[FrozenTrial]

    @property
    def model(self) -> dict[str, Any]:
        """The one whose weights go out."""
        chosen: dict[str, Any] = self.models[self.metrics["chosen"]]
        return chosen
