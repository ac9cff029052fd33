"""What the study has cost by its stages, what stopping early has saved, and what it would cost elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.queue.status import TrialStatus, configuration_key
from jobs.queue.tables import SlotState
from jobs.report.study_results import StudyResults

TRAINING_PASSES = 3  # a backward pass takes two products where the forward pass takes one
FEWEST_FLOP = 2e13  # of a study, below which its time is not that of arithmetic
# Floating-point operations a second of the preset `fast` while it trains (tests/benchmarks/RESULTS.md).
MEASURED_SPEEDS = {
    "two cores of an Intel Xeon with AMX, bf16": 7.9e11,
    "two cores of an Intel Xeon with AVX-512, float32": 3.0e11,
}


@dataclass(frozen=True)
class StageCost:
    """`hours` is the sum over its trainings; the number of GPU-hours is 0 on CPUs."""

    name: str
    trainings: int
    hours: float
    gpu_hours: float
    flop: float | None  # None where the networks of its trainings are not known


@dataclass(frozen=True)
class Cost:
    """`hours` is the time in which at least one trial or confirmation ran."""

    stages: list[StageCost]
    hours: float
    stopped: int
    saved_hours: float

    @property
    def trial_hours(self) -> float:
        return self.stages[0].hours

    @property
    def final_hours(self) -> float:
        return self.stages[-1].hours

    @property
    def gpu_hours(self) -> float:
        return sum(stage.gpu_hours for stage in self.stages)

    @property
    def elsewhere(self) -> dict[str, list[float]]:
        """Hours that the stages would take on devices that were measured; empty where that cannot be told."""
        flop = [stage.flop for stage in self.stages if stage.flop is not None]
        if len(flop) < len(self.stages) or sum(flop) < FEWEST_FLOP:
            return {}
        return {device: [own / speed / 3600 for own in flop] for device, speed in MEASURED_SPEEDS.items()}


def sweep_cost(results: StudyResults) -> Cost:
    """The saving is estimated: each epoch that a stopped trial lacks is taken to be as long as its own epochs."""
    status, epochs = results.status, results.experiment.sweep.epochs
    stopped = [trial for trial in status.trials if trial.state is SlotState.STOPPED_EARLY]
    saved = sum((trial.seconds or 0.0) / trial.epoch * (epochs - trial.epoch) for trial in stopped if trial.epoch)
    return Cost(
        stages=_stages(results),
        hours=status.usage.hours,
        stopped=len(stopped),
        saved_hours=saved / 3600,
    )


def _stages(results: StudyResults) -> list[StageCost]:
    status, usage, models = results.status, results.status.usage, results.models
    noted = {trial.number: trial.user_attrs for trial in results.trials}
    macs = {
        configuration_key(trial.parameters): noted[trial.number].get("macs")
        for trial in status.trials
        if trial.number is not None
    }
    images = results.model.training_images  # nearly as many as in the sweep, whatever is merged with them

    def stage(name: str, trainings: Sequence[TrialStatus], gpu_hours: float) -> StageCost:
        hours = sum(training.seconds or 0.0 for training in trainings) / 3600
        began = [training for training in trainings if training.epoch]
        work = [(macs.get(configuration_key(training.parameters)), training.epoch) for training in began]
        return StageCost(name, len(began), hours, gpu_hours, _flop(work, images))

    stages = [stage("sweep", status.trials, usage.gpu_hours - usage.confirmation_gpu_hours)]
    if status.confirmations:
        stages.append(stage("confirmations", status.confirmations, usage.confirmation_gpu_hours))
    hours = sum(model.seconds for model in models) / 3600
    gpu_hours = sum(model.seconds * model.ranks for model in models) / 3600 if usage.gpu_hours else 0.0
    flop = _flop([(model.macs, results.experiment.final_train.epochs) for model in models], images)
    return [*stages, StageCost("final training", len(models), hours, gpu_hours, flop)]


def _flop(work: Sequence[tuple[float | None, int]], images: int) -> float | None:
    """Of trainings, by the multiply-accumulates of an image, each two operations, and epochs."""
    known = [(macs, epochs) for macs, epochs in work if macs is not None]
    if len(known) < len(work):
        return None
    return sum(2.0 * TRAINING_PASSES * macs * epochs * images for macs, epochs in known)
