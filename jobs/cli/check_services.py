"""Whether database and bucket can be used from here, and whether a study can go on with an experiment."""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from jobs.artifacts import Artifacts, WaitingArtifacts
from jobs.cli.run_stage import open_root
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import load_experiment
from jobs.queue.compatibility import check_artifacts, check_result, check_study, may_be_read
from jobs.queue.database import Database
from jobs.queue.schema import has_tables
from jobs.runtime import interrupt
from jobs.runtime.identity import owner_identity
from jobs.runtime.retry import Patience
from jobs.runtime.settings import Settings, read_settings
from jobs.runtime.terminal import say

PATIENCE_SECONDS = 60.0  # unless OUTAGE_DEADLINE_SECONDS is set: services may have been installed a moment ago
SCRATCH = sa.Table("resnet_sweep_check", sa.MetaData(), sa.Column("value", sa.Integer))


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
    """Does in the database and among the artifacts what the stages do, and leaves nothing behind.

    Raises:
        Failure: one of them cannot be reached, or will not have us, or refuses what a stage needs.

    """
    database = Database.of(settings, _patience(settings))
    was_there = may_be_read(database)
    try:
        version = database.read(_version)
        database.run(lambda: _use_tables(database.engine))
        made_here = not was_there and not database.read(has_tables)  # `prepare` may have filled it meanwhile
    finally:
        database.close()
    if made_here:  # SQLite makes a file for whoever looks
        Path(database.place).unlink()
    say(f"{database.place}: {version}; tables can be made and used")
    _use(WaitingArtifacts(root, _patience(settings)))
    say(f"artifacts {root.location}: can be written, listed, read and removed")


def check_change(experiment: Experiment, settings: Settings, root: Artifacts) -> None:
    """Makes sure that the study, where there is one, can go on with this experiment. Nothing is written.

    Raises:
        ConfigurationError: it cannot, for the fields that the message names.
        Failure: a service cannot be reached, or will not have us.

    """
    database = Database.of(settings, _patience(settings), read_only=True)
    study = WaitingArtifacts(root, _patience(settings)).under(experiment.study_name)
    check_study(experiment, database)
    check_artifacts(experiment, database, study)
    database.close()
    check_result(experiment, study)
    say(f"study {experiment.study_name}: can go on with this experiment, {experiment.sweep.trials} trials")


def _patience(settings: Settings) -> Patience:
    given = "outage_deadline_seconds" in settings.model_fields_set
    return Patience(settings.outage_deadline_seconds if given else PATIENCE_SECONDS)


def _use_tables(engine: sa.Engine) -> None:
    """A table is made, written, changed, read and dropped, in a transaction that is taken back."""
    with engine.connect() as connection:
        SCRATCH.create(connection)
        connection.execute(SCRATCH.insert().values(value=1))
        connection.execute(SCRATCH.update().values(value=2))
        assert connection.scalar(sa.select(SCRATCH.c.value)) == 2
        connection.execute(SCRATCH.delete())
        SCRATCH.drop(connection)
        connection.rollback()


def _version(connection: Connection) -> str:
    if connection.dialect.name == "sqlite":
        return f"SQLite {connection.scalar(sa.text('select sqlite_version()'))}"
    return f"PostgreSQL {connection.scalar(sa.text('show server_version'))}"


def _use(root: Artifacts) -> None:
    key = f"check-{owner_identity()}"
    root.write_text(key, key)
    try:
        root.listing(key)
        assert root.read_text(key) == key
    finally:
        root.remove(key)
