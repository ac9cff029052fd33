"""Whether a stored study can go on with an experiment: the two may differ in few fields."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from jobs.artifacts import Artifacts
from jobs.artifacts.keys import EXPERIMENT, IDENTITY
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import parse_experiment
from jobs.experiment.sweep_config import ConfirmConfig
from jobs.queue.database import Database
from jobs.queue.optuna_internals import count_trials
from jobs.queue.schema import check_tables, read_sweep
from jobs.queue.slots import read_experiment
from jobs.runtime.database_url import is_sqlite
from jobs.runtime.errors import ConfigurationError, Failure
from resnet_core.validation import shown

TRIALS, CONFIRM = "sweep.trials", "sweep.confirm"  # may be raised
STOP = "sweep.stop"  # may be changed, as may these
FREE = ("sweep.maxHours", "sweep.maxGpuHours", "sweep.minCompleted")  # may be changed: no trial depends on them


class NotPrepared(Failure):
    """The database has no such study."""


def stored_experiment(database: Database, study: str) -> Experiment | None:
    """The experiment that the study in the database was prepared for; None where there is no such study.

    Raises:
        Failure: it is another study's, so that what is done to the one would be done to the other.

    """
    return _parse(database.read(lambda connection: read_experiment(connection, study)), study)


def _parse(text: str | None, study: str) -> Experiment | None:
    if text is None:
        return None
    experiment = parse_experiment(text)
    if experiment.study.name != study:
        raise Failure(f"study {study}: the database has the experiment of study {experiment.study.name} for it")
    return experiment


def check_prepared(experiment: Experiment, database: Database, study: Artifacts) -> None:
    """Makes sure that the study was prepared for this experiment and with these artifacts.

    The numbers of trials and confirmations may differ.

    Raises:
        NotPrepared: there is no such study.
        ConfigurationError: it was prepared for another experiment, or with other artifacts; the message says which.

    """
    stored = stored_experiment(database, experiment.study_name)
    if stored is None:
        raise NotPrepared(f"study {experiment.study_name}: not in {database.place}; `resnet-sweep prepare` makes it")
    _refuse(_other_fields(stored, experiment, database.place))
    check_artifacts(experiment, database, study)


def check_extends(stored: Experiment, experiment: Experiment, place: str) -> None:
    """Makes sure that the experiment is the one that the study was prepared for.

    It may have more trials, and more confirmations.

    Raises:
        ConfigurationError: it is not, for the fields that the message names.

    """
    lines = _other_fields(stored, experiment, place)
    before, after = stored.sweep.trials, experiment.sweep.trials
    if after < before:
        lines.append(f"{TRIALS}={after}: the study has {before} already; trials can be added, not taken away")
    lines += _fewer_confirmations(stored.sweep.confirm, experiment.sweep.confirm)
    _refuse(lines)


def check_result(experiment: Experiment, study: Artifacts) -> None:
    """The same for the study among the artifacts, if it is there; raises as `check_extends` does."""
    if study.exists(EXPERIMENT):
        check_extends(parse_experiment(study.read_text(EXPERIMENT)), experiment, study.location)


def check_artifacts(experiment: Experiment, database: Database, study: Artifacts) -> str | None:
    """Makes sure that the study's artifacts are those that it was prepared with.

    Returns:
        Their identity; None where the database knows of none, as the study is new there.

    Raises:
        ConfigurationError: they are others.

    """
    name = experiment.study_name
    if not may_be_read(database):
        return None
    _text, identity = database.read(lambda connection: read_sweep(connection, name))
    if identity is not None and (not study.exists(IDENTITY) or study.read_text(IDENTITY) != identity):
        _refuse(
            [
                f"study.name={name}: the study in {database.place} was prepared with other artifacts than those in "
                f"{study.location}; give the place of those, or choose another name"
            ]
        )
    return identity


def check_study(experiment: Experiment, database: Database) -> None:
    """The same for the study in the database, if it is there; raises as `check_extends` does.

    Raises:
        Refused: the tables of the database are another program's, or a later version's.
        ConfigurationError: another program has a study of this name there.

    """
    name = experiment.study_name

    def look(connection: Connection) -> tuple[str | None, int]:
        check_tables(connection)
        text, _identity = read_sweep(connection, name)
        return text, count_trials(connection, name)

    if not may_be_read(database):
        return
    text, trials = database.read(look)
    stored = _parse(text, name)
    if stored is not None:
        check_extends(stored, experiment, database.place)
    elif trials:  # without one it may be ours, if `prepare` was ended in between
        _refuse([f"study.name={name}: {database.place} has a study of this name from another program; choose another"])


def may_be_read(database: Database) -> bool:
    return not is_sqlite(database.url) or Path(database.place).exists()  # connecting would make the file


def _other_fields(stored: Experiment, experiment: Experiment, place: str) -> list[str]:
    return [
        f"{key}={shown(after)}: study {stored.study_name} in {place} belongs to another experiment, where it is "
        f"{shown(before)}; choose another study.name"
        for key, before, after in _differences(stored.model_dump(mode="json"), experiment.model_dump(mode="json"))
        if key not in (TRIALS, CONFIRM, STOP, *FREE) and not key.startswith((f"{CONFIRM}.", f"{STOP}."))
    ]


def _fewer_confirmations(before: ConfirmConfig | None, after: ConfirmConfig | None) -> list[str]:
    if before is None or (after is not None and after.trials >= before.trials and after.seeds >= before.seeds):
        return []
    asked, has = (shown(one and one.model_dump(mode="json")) for one in (after, before))
    return [f"{CONFIRM}={asked}: the study has {has} already; confirmations can be added, not taken away"]


def _differences(before: Any, after: Any, key: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        changes = []
        for name in [*before, *(name for name in after if name not in before)]:
            path = f"{key}.{name}" if key else name
            changes += _differences(before.get(name), after.get(name), path)
        return changes
    return [] if before == after else [(key, before, after)]


def _refuse(lines: list[str]) -> None:
    if lines:
        raise ConfigurationError(*lines)
