"""A sweep in the tables of version 1, as 0.1.0 has written it: trial 0 complete, trial 1 taken up again, one waiting."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from jobs.experiment.load import parse_experiment
from jobs.queue.connections import connect
from jobs.queue.slots import read_experiment, read_slots
from jobs.queue.tables import SlotState, metadata, slots
from jobs.stages.sweep.worker import Worker
from tests.support import reporting
from tests.support.checker import check_sweep
from tests.support.databases import opened
from tests.support.postgres import Postgres
from tests.support.reporting import Reporting

FOLDER = Path(__file__).parent


def sqlite_of_version_1(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((FOLDER / "sqlite.sql").read_text())


def postgresql_of_version_1(server: Postgres, database: str) -> None:
    server.execute((FOLDER / "postgresql.sql").read_text(), database)


def columns(url: str) -> dict[str, Any]:
    """Types, indexes and keys of all our tables."""
    engine = connect(url)
    try:
        inspector = sa.inspect(engine)
        return {
            name: (
                [(column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(name)],
                [(index["name"], index["column_names"]) for index in inspector.get_indexes(name)],
                inspector.get_pk_constraint(name)["constrained_columns"],
            )
            for name in metadata.tables
        }
    finally:
        engine.dispose()


def carried_on(url: str, folder: Path) -> None:
    """Makes sure that the sweep, in tables that were brought up to date, has kept what it was and can be ended."""
    database = opened(url)
    try:
        rows = database.read(lambda connection: read_slots(connection, "quick"))
        assert [(row.state, row.owner, row.fence) for row in rows] == [
            (SlotState.COMPLETE, None, 1),
            (SlotState.RUNNING, "somewhere-7", 2),
            (SlotState.WAITING, None, 0),
        ]
        database.write(lambda connection: connection.execute(sa.update(slots).values(lease_end=0)))
        text = database.read(lambda connection: read_experiment(connection, "quick"))
        assert text is not None
        settings = reporting.place(url, folder, lease_seconds=60, renewal_seconds=15, database_timeout_seconds=10)
        sweep = parse_experiment(text)
        Worker(sweep, settings, reporting.artifacts(settings, sweep)).work(Reporting(2, 0))
        check_sweep(database, "quick", 3)
    finally:
        database.close()
