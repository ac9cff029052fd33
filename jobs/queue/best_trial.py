"""Which trial the final training takes, once the sweep is over."""

from jobs.artifacts import Artifacts
from jobs.experiment.experiment import Experiment
from jobs.queue.compatibility import check_prepared
from jobs.queue.database import Database
from jobs.queue.status import SweepStatus, TrialStatus, sweep_status
from jobs.queue.tables import SlotState
from jobs.runtime.errors import Failure
from jobs.runtime.settings import Settings


class SweepNotOver(Failure):
    """Some trials are not settled yet: one of them may become the best."""


class TooFewCompleted(Failure):
    """The sweep is over, and fewer trials are complete than sweep.minCompleted asks for."""


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


def read_best_trial(experiment: Experiment, settings: Settings, study: Artifacts) -> TrialStatus:
    """The best trial that the database knows of.

    Raises:
        NotPrepared, ConfigurationError: as `check_prepared`.
        SweepNotOver, TooFewCompleted: as `best_trial`.
        Failure: the database cannot be reached.

    """
    database = Database.of(settings)
    try:
        check_prepared(experiment, database, study)
        return best_trial(experiment, sweep_status(database, experiment.study_name))
    finally:
        database.close()
