"""Which trial the final training takes, once the sweep is over."""

import logging

from jobs.artifacts import Artifacts
from jobs.experiment.experiment import Experiment
from jobs.queue.compatibility import check_prepared
from jobs.queue.database import Database
from jobs.queue.status import SweepStatus, TrialStatus
from jobs.queue.status_reader import sweep_status
from jobs.queue.tables import SlotState
from jobs.runtime.errors import Failure
from jobs.runtime.settings import Settings

log = logging.getLogger(__name__)


class SweepNotOver(Failure):
    """Some trials or confirmations are not settled yet: they may change which is the best."""


class TooFewCompleted(Failure):
    """The sweep is over, and fewer trials are complete than sweep.minCompleted asks for."""


def best_trial(experiment: Experiment, status: SweepStatus) -> TrialStatus:
    """The trial whose configuration is confirmed best; without confirmations, that of the highest validation accuracy.

    Raises:
        SweepNotOver: not all trials and confirmations are settled.
        TooFewCompleted: fewer trials than sweep.minCompleted are complete.

    """
    if status.unsettled:
        what = "trials and confirmations" if status.confirmations else "trials"
        raise SweepNotOver(f"{status.unsettled} {what} of the sweep are not settled ({status.line()})")
    complete, needed = status.count(SlotState.COMPLETE), experiment.sweep.min_completed
    if status.best is None or complete < needed:
        raise TooFewCompleted(
            f"sweep.minCompleted={needed}: {complete} trials of the sweep are complete ({status.line()})"
        )
    return status.best if status.winner is None else status.winner.trial


def read_best_trial(experiment: Experiment, settings: Settings, study: Artifacts) -> TrialStatus:
    """The best trial that the database knows of, which is logged where confirmations were to decide.

    Raises:
        NotPrepared, ConfigurationError: as `check_prepared`.
        SweepNotOver, TooFewCompleted: as `best_trial`.
        Failure: the database cannot be reached.

    """
    database = Database.of(settings)
    try:
        check_prepared(experiment, database, study)
        status = sweep_status(database, experiment.study_name)
        best = best_trial(experiment, status)
    finally:
        database.close()
    if status.confirmations:
        _tell(status, best)
    return best


def _tell(status: SweepStatus, best: TrialStatus) -> None:
    winner = status.winner
    if winner is None:
        log.warning("no confirmation is complete: %s is taken, the first place of the sweep, unconfirmed", best.name)
        return
    log.info(
        "%s is taken, place %d of the sweep with %s: the mean of its confirmations is %s (%d of them)",
        *(best.name, winner.rank, status.percent(best.accuracy), status.percent(winner.mean), len(winner.accuracies)),
    )
