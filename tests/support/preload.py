"""What the server process runs from which workers fork: a trial on SQLite, so that no fork has to import what one needs."""

import tempfile
from pathlib import Path

import psycopg2.extras  # noqa: F401
import sqlalchemy.dialects.postgresql.psycopg2  # noqa: F401

from jobs.stages.sweep.worker import Worker
from tests.support import reporting


def run_a_trial() -> None:
    sweep = reporting.experiment(1, 1)
    with tempfile.TemporaryDirectory() as folder:
        settings = reporting.place(f"sqlite:///{folder}/study.db", Path(folder))
        reporting.prepare(sweep, settings.database_url)
        worker = Worker(sweep, settings, reporting.artifacts(settings, sweep))
        worker.work(reporting.Reporting(1, 0))
        worker.close()


run_a_trial()
