"""What the study has cost, and what ending trials early has saved."""

from dataclasses import dataclass

from jobs.queue.tables import SlotState
from jobs.report.study_results import StudyResults


@dataclass(frozen=True)
class Cost:
    """In hours. `trial_hours` is the sum over trials, `hours` the time during which any ran."""

    hours: float
    trial_hours: float
    gpu_hours: float
    final_hours: float
    stopped: int
    saved_hours: float
    infeasible: int


def sweep_cost(results: StudyResults) -> Cost:
    """The saving is estimated: the epochs that a stopped trial did not train, each as long as its own were."""
    status, epochs = results.status, results.experiment.sweep.epochs
    stopped = [trial for trial in status.trials if trial.state is SlotState.STOPPED_EARLY]
    saved = sum((trial.seconds or 0.0) / trial.epoch * (epochs - trial.epoch) for trial in stopped if trial.epoch)
    return Cost(
        hours=status.usage.hours,
        trial_hours=sum(trial.seconds or 0.0 for trial in status.trials) / 3600,
        gpu_hours=status.usage.gpu_hours,
        final_hours=sum(model.seconds for model in results.models) / 3600,
        stopped=len(stopped),
        saved_hours=saved / 3600,
        infeasible=status.count(SlotState.INFEASIBLE),
    )
