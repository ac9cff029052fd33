"""The commands `status`, `stop`, `export` and `import`: what a person does with a sweep. Nothing here imports torch."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from rich.console import Console
from sqlalchemy import Connection

from jobs.artifacts import Artifacts, FolderArtifacts, WaitingArtifacts, open_artifacts
from jobs.artifacts.keys import DATABASE
from jobs.cli.status_table import status_json, status_table
from jobs.experiment.experiment import Experiment
from jobs.queue import export_import
from jobs.queue.compatibility import stored_experiment
from jobs.queue.database import Database
from jobs.queue.schema import has_tables
from jobs.queue.status import SweepStatus
from jobs.queue.status_reader import StatusReader, sweep_status
from jobs.queue.stop import stop_sweep
from jobs.queue.tables import sweeps
from jobs.runners.display import Display
from jobs.runners.local import local_database
from jobs.runtime import interrupt
from jobs.runtime.database_url import is_sqlite
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.retry import Patience
from jobs.runtime.settings import Settings, read_settings
from jobs.runtime.terminal import say

log = logging.getLogger(__name__)

PATIENCE = Patience(10)  # a person is waiting
WATCH_SECONDS = 2
FILE_COLUMNS = 160


@dataclass(frozen=True)
class Sweep:
    """A sweep in a database."""

    experiment: Experiment
    settings: Settings
    database: Database
    artifacts: Artifacts | None  # of the study, if it is known where they are

    def status(self) -> SweepStatus:
        return sweep_status(self.database, self.experiment.study_name)


def status(study: str | None, runs: Path, *, watch: bool, as_json: bool) -> None:
    """Prints how far a sweep is; with `watch` its lines as they come until all trials are settled."""
    with _open(study, runs, read_only=True) as sweep:
        if watch:
            _watch(sweep)
        elif as_json:
            print(json.dumps(status_json(sweep.experiment, sweep.status()), indent=2, allow_nan=False))
        else:
            console = Console()
            if not console.file.isatty():  # a file has no width
                console.width = FILE_COLUMNS
            console.print(status_table(sweep.experiment, sweep.status()))


def stop(study: str | None, runs: Path, *, now: bool) -> None:
    """Ends a sweep; see `jobs.queue.stop`."""
    with _open(study, runs) as sweep:
        unbegun, begun = stop_sweep(sweep.database, sweep.experiment.study_name, now=now)
        left = sweep.status()
    say(f"cancelled: {unbegun} not begun, {begun} begun")
    say(left.line())


def export(study: str | None, runs: Path, file: Path) -> None:
    with _open(study, runs, read_only=True) as sweep:
        url, name = sweep.settings.database_url, sweep.experiment.study_name
        sweep.database.run(lambda: export_import.export_study(url, name, file))
        say(f"study {name} written to {file}")


def export_trainings(study: str | None, runs: Path, tracker: str, place: str | None) -> None:
    """Gives the trainings that have ended to another program; what that has already is not given again."""
    from jobs.report.trackers import csv_files, mlflow_server, tensorboard_files  # noqa: PLC0415
    from jobs.report.trackers.runs import read_runs  # noqa: PLC0415

    with _open(study, runs, read_only=True) as sweep:
        name, trainings = sweep.experiment.study_name, read_runs(sweep.experiment, sweep.database, sweep.artifacts)
        if tracker == "mlflow":
            place = place or os.environ.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
            count = mlflow_server.write_runs(trainings, name, place)
        else:
            place = place or f"{name}-{tracker}"
            write = csv_files.write_runs if tracker == "csv" else tensorboard_files.write_runs
            count = write(trainings, Path(place))
        lacking = "" if sweep.artifacts else "; losses and final trainings lie at ARTIFACTS_URL, which is not set"
        say(f"{place}: {count} trainings of study {name} written{lacking}")


def import_(file: Path) -> None:
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise ConfigurationError(f"DATABASE_URL: needed in the environment to import {file}, but not set")
    database = Database.of(read_settings(database_url=url, artifacts_url="."), PATIENCE)
    study = database.run(lambda: export_import.import_study(file, url))
    say(f"study {study} is in {database.place}")


def _watch(sweep: Sweep) -> None:
    interrupt.listen()
    reader = StatusReader(Database.of(sweep.settings, read_only=True), sweep.experiment.study_name)
    with Display(sweep.settings.log_format) as display:
        while True:
            status = reader.read()
            display.sweep(status, sweep.experiment.sweep.epochs)
            if not status.unsettled:
                log.info("%s", status.line())
                return
            interrupt.pause(WATCH_SECONDS)


@contextmanager
def _open(study: str | None, runs: Path, *, read_only: bool = False) -> Iterator[Sweep]:
    """The sweep in DATABASE_URL, or else below the folder of local runs, where a folder that was renamed names it.

    Raises:
        ConfigurationError: there is none of that name, or more than one to choose from.

    """
    url, artifacts_url = os.environ.get("DATABASE_URL"), os.environ.get("ARTIFACTS_URL")
    folder = None if url else _local_study(study, runs)
    url = url or local_database(runs, folder or "")
    settings = read_settings(database_url=url, artifacts_url=artifacts_url or str(runs))
    database = Database.of(settings, PATIENCE, read_only=read_only)
    if is_sqlite(url) and not Path(database.place).is_file():  # looking would make one
        raise ConfigurationError(f"DATABASE_URL={url}: no such file")
    try:
        experiment = _find(database, study, sole_one=folder is not None or study is None)
        artifacts: Artifacts | None = None
        if folder is not None:
            artifacts = FolderArtifacts(runs / folder)
        elif artifacts_url:
            artifacts = WaitingArtifacts(open_artifacts(settings), PATIENCE).under(experiment.study_name)
        yield Sweep(experiment, settings, database, artifacts)
    finally:
        database.close()


def _local_study(study: str | None, runs: Path) -> str:
    found = sorted(file.parent.name for file in runs.glob(f"*/{DATABASE}"))
    if not found:
        raise ConfigurationError(
            f"--runs={runs}: no sweep there yet; `resnet-sweep local` begins one, and DATABASE_URL names the database "
            "of one that runs elsewhere"
        )
    if study is None and len(found) == 1:
        return found[0]
    if study is None or study not in found:
        raise ConfigurationError(
            f"STUDY={study or ''}: DATABASE_URL is not set, and the studies below {runs} are: {', '.join(found)}"
        )
    return study


def _find(database: Database, study: str | None, *, sole_one: bool) -> Experiment:
    """The study of that name, or with `sole_one` the only one there."""

    def read_names(connection: Connection) -> list[str]:
        return sorted(connection.scalars(sa.select(sweeps.c.study))) if has_tables(connection) else []

    found = database.read(read_names)
    name = found[0] if sole_one and len(found) == 1 else study
    experiment = stored_experiment(database, name) if name in found else None
    if not found:
        raise ConfigurationError(f"{database.place}: no study there yet; `resnet-sweep prepare` makes one")
    if experiment is None:
        there = ", ".join(found)
        raise ConfigurationError(f"STUDY={study or ''}: the studies in {database.place} are: {there}")
    return experiment
