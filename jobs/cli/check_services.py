"""Whether database and bucket can be used from here, and whether a study can go on with an experiment."""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from jobs.artifacts import Artifacts, WaitingArtifacts
from jobs.cli.run_stage import open_root
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import load_experiment
from jobs.queue.compatibility import check_artifacts, check_result, check_study
from jobs.queue.database import Database
from jobs.runtime import interrupt
from jobs.runtime.identity import owner_identity
from jobs.runtime.retry import Patience
from jobs.runtime.settings import Settings, read_settings
from jobs.runtime.terminal import say

PATIENCE = Patience(60)  # services that were installed a moment ago may still be starting


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
    database = Database.of(settings, PATIENCE)
    say(f"{database.place}: {database.read(_version)}")
    database.close()
    _use(WaitingArtifacts(root, PATIENCE))
    say(f"artifacts {root.location}: can be written, read and removed")


def check_change(experiment: Experiment, settings: Settings, root: Artifacts) -> None:
    """Makes sure that the study, where there is one, can go on with this experiment. Nothing is written.

    Raises:
        ConfigurationError: it cannot, for the fields that the message names.
        Failure: a service cannot be reached, or will not have us.

    """
    database = Database.of(settings, PATIENCE, read_only=True)
    study = WaitingArtifacts(root, PATIENCE).under(experiment.study_name)
    check_study(experiment, database)
    check_artifacts(experiment, database, study)
    database.close()
    check_result(experiment, study)
    say(f"study {experiment.study_name}: can go on with this experiment, {experiment.sweep.trials} trials")


def _version(connection: Connection) -> str:
    if connection.dialect.name == "sqlite":
        return f"SQLite {connection.scalar(sa.text('select sqlite_version()'))}"
    return f"PostgreSQL {connection.scalar(sa.text('show server_version'))}"


def _use(root: Artifacts) -> None:
    key = f"check-{owner_identity()}"
    root.write_text(key, key)
    try:
        assert root.read_text(key) == key
    finally:
        root.remove(key)
