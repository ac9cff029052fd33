"""The results of a study: what sweep, final training and evaluation have left for the report."""

from dataclasses import dataclass

from optuna.trial import FrozenTrial

from jobs.artifacts.documents import MetricsDocument, ModelDocument
from jobs.experiment.experiment import Experiment
from jobs.queue.status import SweepStatus
from resnet_core.epoch import EpochResult


@dataclass(frozen=True)
class StudyResults:
    """All that is known of one study when its report is written.

    `models` and `epochs` have an entry for each seed of the final training. The intermediate values of the trials are
    validation accuracies by epoch.
    """

    experiment: Experiment
    metrics: MetricsDocument
    models: list[ModelDocument]
    epochs: list[list[EpochResult]]
    status: SweepStatus
    trials: list[FrozenTrial]

    @property
    def model(self) -> ModelDocument:
        """That of the seed whose network goes out."""
        return self.models[self.metrics.chosen]
