"""Whether database and bucket can be used from here, and whether a study can go on with an experiment."""

from pathlib import Path

import sqlalchemy as sa

from jobs.artifacts import Artifacts
from jobs.cli.run_stage import open_root
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import load_experiment
from jobs.queue.compatibility import check_result, check_study
from jobs.queue.connections import connect
from jobs.runtime import interrupt
from jobs.runtime.database_url import database_place, is_sqlite
from jobs.runtime.retry import patiently
from jobs.runtime.settings import Settings, owner_identity, read_settings

PATIENCE_SECONDS = 60  # services that were installed a moment ago may still be starting


def check(config: Path | None) -> None:
    """Checks the services, or if there is an experiment's file whether its study can go on with that experiment.

    Raises:
        ConfigurationError: the experiment or the environment is wrong, or the study belongs to another experiment.
        Failure: a service cannot be reached, or refuses us.

    """
    experiment = load_experiment(None, config, []) if config else None
    interrupt.listen()
    settings = read_settings()
    root = open_root(settings)
    if experiment is None:
        check_services(settings, root)
    else:
        check_change(experiment, settings, root)


def check_services(settings: Settings, root: Artifacts) -> None:
    """Asks the database for its version; writes, reads and removes an object.

    Raises:
        Failure: one of them cannot be reached, or will not have us.

    """
    place = database_place(settings.database_url)
    version = patiently(lambda: _version(settings), place=place, deadline_seconds=PATIENCE_SECONDS)
    print(f"{place}: {version}")
    patiently(lambda: _use(root), place=root.location, deadline_seconds=PATIENCE_SECONDS)
    print(f"artifacts {root.location}: can be written, read and removed")


def check_change(experiment: Experiment, settings: Settings, root: Artifacts) -> None:
    """Makes sure that the study, where there is one, can go on with this experiment. Nothing is written.

    Raises:
        ConfigurationError: it cannot, for the fields that the message names.
        Failure: a service cannot be reached, or will not have us.

    """
    place, study = database_place(settings.database_url), root.under(experiment.study_name)
    patiently(lambda: check_study(experiment, settings), place=place, deadline_seconds=PATIENCE_SECONDS)
    patiently(lambda: check_result(experiment, study), place=study.location, deadline_seconds=PATIENCE_SECONDS)
    print(f"study {experiment.study_name}: can go on with this experiment, {experiment.sweep.trials} trials")


def _version(settings: Settings) -> str:
    engine = connect(settings.database_url, settings.database_timeout_seconds)
    try:
        with engine.connect() as connection:
            if is_sqlite(settings.database_url):
                return f"SQLite {connection.scalar(sa.text('select sqlite_version()'))}"
            return f"PostgreSQL {connection.scalar(sa.text('show server_version'))}"
    finally:
        engine.dispose()


def _use(root: Artifacts) -> None:
    key = f"check-{owner_identity()}"
    root.write_text(key, key)
    try:
        assert root.read_text(key) == key
    finally:
        root.remove(key)
