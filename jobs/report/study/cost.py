"""How much time the study took, and how much was saved by stopping trials early."""

from dataclasses import dataclass

from jobs.queue.tables import SlotState
from jobs.report.study_results import StudyResults


@dataclass(frozen=True)
class Cost:
    """`trial_hours` is the sum over all trials, `hours` the time in which at least one trial or confirmation ran."""

    hours: float
    trial_hours: float
    confirmation_hours: float
    gpu_hours: float
    final_hours: float
    stopped: int
    saved_hours: float
    infeasible: int


def sweep_cost(results: StudyResults) -> Cost:
    """The saving is estimated: each epoch that a stopped trial lacks is taken to be as long as its own epochs."""
    status, epochs = results.status, results.experiment.sweep.epochs
    stopped = [trial for trial in status.trials if trial.state is SlotState.STOPPED_EARLY]
    saved = sum((trial.seconds or 0.0) / trial.epoch * (epochs - trial.epoch) for trial in stopped if trial.epoch)
    return Cost(
        hours=status.usage.hours,
        trial_hours=sum(trial.seconds or 0.0 for trial in status.trials) / 3600,
        confirmation_hours=sum(one.seconds or 0.0 for one in status.confirmations) / 3600,
        gpu_hours=status.usage.gpu_hours,
        final_hours=sum(model.seconds for model in results.models) / 3600,
        stopped=len(stopped),
        saved_hours=saved / 3600,
        infeasible=status.count(SlotState.INFEASIBLE),
    )
