"""Which trial the final training takes, once the sweep is over."""

from jobs.experiment import Experiment
from jobs.failure import Failure
from jobs.status import SweepStatus, TrialStatus
from jobs.tables import SlotState


class SweepNotOver(Failure):
    """Trials are still to be run: another one may become the best."""


class TooFewCompleted(Failure):
    """The sweep is over, and too little of it came to a value."""


def best_trial(experiment: Experiment, status: SweepStatus) -> TrialStatus:
    """The complete trial with the highest validation accuracy.

    Raises:
        SweepNotOver: not all trials are settled.
        TooFewCompleted: fewer trials than sweep.minCompleted are complete.

    """
    if status.unsettled:
        raise SweepNotOver(f"{status.unsettled} trials of the sweep are not settled ({status.line()})")
    complete, needed = status.count(SlotState.COMPLETE), experiment.sweep.min_completed
    if status.best is None or complete < needed:
        raise TooFewCompleted(
            f"sweep.minCompleted={needed}: {complete} trials of the sweep are complete ({status.line()})"
        )
    return status.best
