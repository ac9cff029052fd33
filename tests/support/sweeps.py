"""Sweeps where the local runner puts them, whose trials only report."""

from collections.abc import Callable
from pathlib import Path

from jobs.experiment.experiment import Experiment
from jobs.queue.slots import SlotRow, read_slots
from jobs.queue.status import SweepStatus
from jobs.queue.status_reader import sweep_status
from jobs.queue.tables import SlotState
from jobs.runners.local import local_database
from jobs.runtime.settings import Settings
from jobs.stages.sweep.running_trial import RunningTrial
from jobs.stages.sweep.worker import Worker
from tests.support import reporting
from tests.support.databases import opened
from tests.support.reporting import Reporting

EPOCHS = 2
COMPLETE, CANCELLED = SlotState.COMPLETE, SlotState.CANCELLED

Body = Callable[[RunningTrial], None]
report: Body = Reporting(EPOCHS, 0.01)


def place(url: str, runs: Path) -> Settings:
    return reporting.place(url, runs, lease_seconds=60, renewal_seconds=15, max_attempts=1)


def prepared(runs: Path, trials: int, *overrides: str) -> tuple[Experiment, Settings]:
    """A sweep where the local runner puts it."""
    sweep = reporting.experiment(trials, EPOCHS, *overrides)
    (runs / sweep.study_name).mkdir(parents=True)
    settings = place(local_database(runs, sweep.study_name), runs)
    reporting.prepare(sweep, settings.database_url)
    return sweep, settings


def work(sweep: Experiment, settings: Settings, body: Body = report, gpus: float = 0) -> None:
    Worker(sweep, settings, reporting.artifacts(settings, sweep), gpus).work(body)


def status_of(settings: Settings, study: str = "quick") -> SweepStatus:
    database = opened(settings.database_url)
    try:
        return sweep_status(database, study)
    finally:
        database.close()


def states(settings: Settings) -> list[SlotState]:
    return [trial.state for trial in status_of(settings).trials]


def rows(url: str) -> list[SlotRow]:
    database = opened(url)
    try:
        return database.read(lambda connection: read_slots(connection, "quick"))
    finally:
        database.close()
