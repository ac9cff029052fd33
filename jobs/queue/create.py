"""Making a sweep: tables, Optuna's study, and the slots."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine

from jobs.experiment.confirmation import confirmation_name
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import dump_experiment, parse_experiment
from jobs.queue.claim import Claim
from jobs.queue.claims import check_fence, count_unsettled
from jobs.queue.confirmations import create_confirmation_study, extend_confirmations
from jobs.queue.connections import connect, exclusive
from jobs.queue.database import Database
from jobs.queue.fenced_storage import create_tables as create_optuna_tables
from jobs.queue.schema import check_tables, upgrade_tables
from jobs.queue.slots import create_sweep, read_experiment
from jobs.queue.study import create_study
from jobs.runtime.database_url import is_sqlite


def create_tables(database: Database) -> None:
    """Creates the tables in a file or a database that may not have any yet."""
    if is_sqlite(database.url):
        Path(database.place).parent.mkdir(parents=True, exist_ok=True)

    def create() -> None:
        with _alone(database):
            make_tables(database.url, database.engine)

    database.run(create)


def make_tables(url: str, engine: Engine) -> None:
    """Optuna's tables and ours, as far as they do not exist; ours are brought up to date.

    Raises:
        Unsuitable: a table of one of these names is another program's, or a later version's.

    """
    with engine.connect() as connection:
        check_tables(connection)
    create_optuna_tables(url)
    upgrade_tables(engine)


def create_study_and_slots(
    experiment: Experiment, database: Database, held: Claim, artifacts: str, validation_images: int | None
) -> tuple[int, int]:
    """Creates study, sweep and slots, and those of its confirmations, as far as they do not exist.

    Args:
        experiment: of the study.
        database: with our tables.
        held: the claim on the study's result.
        artifacts: the identity of those that the study is prepared with.
        validation_images: that the accuracies of trials are of, where it is known.

    Returns:
        How many trials are new, and how many of all trials and confirmations are not settled.

    Raises:
        LeaseLost: another process has claimed the result since; the sweep is as that one leaves it.

    """
    name, text, fixed = experiment.study_name, dump_experiment(experiment), experiment.fixed_parameters()

    def create() -> tuple[int, int]:
        with _alone(database):
            create_study(experiment, database.storage)
            create_confirmation_study(experiment, database)
            with database.engine.begin() as connection:
                check_fence(connection, held)
                former = read_experiment(connection, name)
                added = create_sweep(connection, name, text, fixed, artifacts, validation_images)
                extend_confirmations(connection, experiment, None if former is None else parse_experiment(former))
                return added, sum(count_unsettled(connection, part) for part in (name, confirmation_name(name)))

    return database.run(create)


@contextlib.contextmanager
def _alone(database: Database) -> Iterator[None]:
    lock = connect(database.url, database.timeout_seconds)
    try:
        with exclusive(lock):
            yield
    finally:
        lock.dispose()
