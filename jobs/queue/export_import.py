"""A study with its slots and ledger as one file, out of a database and into another.

The file is a SQLite database with the same tables: `status` and Optuna's own tools read it as it is.
"""

import contextlib
import secrets
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import optuna
import sqlalchemy as sa
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from sqlalchemy import Connection

from jobs.experiment.confirmation import confirmation_name
from jobs.queue.claim import Claim
from jobs.queue.claims import record_change
from jobs.queue.connections import connect, exclusive
from jobs.queue.create import make_tables
from jobs.queue.database_errors import Unsuitable
from jobs.queue.fenced_storage import FencedStorage
from jobs.queue.optuna_internals import StudyRow, trial_id
from jobs.queue.schema import upgrade_tables
from jobs.queue.slots import read_experiment
from jobs.queue.study_file import NotAStudy, Rows, check_study, duplicate
from jobs.queue.tables import SlotState, ledger, slots, sweeps
from jobs.runtime.database_url import database_place, sqlite_url
from jobs.runtime.errors import Failure

READS = 20  # at most, until tables and trials are of one moment
PAUSE_SECONDS = 0.1


class TransferRefused(Failure):
    """There is no such study to copy, or the target has one of this name already."""


@dataclass(frozen=True)
class StudyCopy:
    name: str
    directions: list[StudyDirection]
    tables: Rows
    trials: list[FrozenTrial]  # those of the slots, by their numbers
    confirmations: list[FrozenTrial] | None  # the same of the study of its confirmations; None where there is none

    @property
    def studies(self) -> dict[str, list[FrozenTrial]]:
        """The trials of each of Optuna's studies, by its name."""
        beside = {} if self.confirmations is None else {confirmation_name(self.name): self.confirmations}
        return {self.name: self.trials, **beside}


def export_study(database_url: str, study: str, file: Path) -> None:
    """Writes the file, which appears only when it is whole.

    Raises:
        TransferRefused: no such study, the file exists, or there is no folder for it.

    """
    if file.exists():
        raise TransferRefused(f"{file}: exists already")
    if not file.parent.is_dir():
        raise TransferRefused(f"{file}: there is no folder {file.parent}")
    copy = _read(database_url, study)
    partial = file.with_name(f"{file.name}.partial-{secrets.token_hex(4)}")
    try:
        _write(sqlite_url(partial), copy)
        with contextlib.closing(sqlite3.connect(partial)) as connection:
            # So that one file holds everything, and can be read on a read-only disk.
            connection.execute("PRAGMA journal_mode=DELETE")
        partial.replace(file)
    finally:
        for rest in [path for path in file.parent.iterdir() if path.name.startswith(partial.name)]:
            rest.unlink()


def import_study(file: Path, database_url: str) -> str:
    """Copies the study of a file into a database and returns its name. Trials that ran are free to be taken up.

    Raises:
        TransferRefused: the file holds no study as this program writes it, or the database has one of this name.

    """
    if not file.is_file():
        raise TransferRefused(f"{file}: no such file")
    copy = _read_file(file)
    _write(database_url, copy)
    return copy.name


def _read_file(file: Path) -> StudyCopy:
    try:
        with duplicate(file) as copied:
            url = sqlite_url(copied)
            copy = _read(url, _only_study(url))
        check_study(copy.tables, copy.trials, copy.confirmations or [])
    except (NotAStudy, Unsuitable, TransferRefused) as error:
        raise TransferRefused(f"{file}: {error}") from None
    except Exception as error:  # whatever our own and Optuna's reading make of a file that somebody else has written
        reason = " ".join(str(error).split())
        raise TransferRefused(f"{file}: damaged: {type(error).__name__}: {reason:.200}") from error
    return copy


def _only_study(url: str) -> str:
    """Its name; the tables are brought up to date."""
    engine = connect(url)
    try:
        upgrade_tables(engine)
        with engine.connect() as connection:
            names = list(connection.scalars(sa.select(sweeps.c.study)))
    finally:
        engine.dispose()
    if len(names) != 1:
        raise NotAStudy("not a file that `resnet-sweep export` wrote")
    return str(names[0])


def _read(url: str, study: str) -> StudyCopy:
    """Tables and trials of one moment: they are read again where a trial was settled in between.

    What still differs after many reads is taken as it is: somebody has ended or removed a trial from outside.
    """
    engine = connect(url, read_only=True)
    try:
        with engine.connect() as connection:
            if read_experiment(connection, study) is None:
                raise TransferRefused(f"study {study}: not in {database_place(url)}")
        source = FencedStorage(url, engine, read_only=True)
        study_id = source.get_study_id_from_name(study)
        parts, beside = [study], confirmation_name(study)
        if beside in optuna.get_all_study_names(source):
            parts.append(beside)
        for _ in range(READS):
            with engine.connect() as connection:
                tables = {
                    table: [dict(row) for row in connection.execute(_rows(table, parts)).mappings()]
                    for table in (sweeps, slots, ledger)
                }
            found = [source.get_all_trials(source.get_study_id_from_name(part)) for part in parts]
            trials = {trial_id(trial): trial for of_part in found for trial in of_part}
            begun = [row for row in tables[slots] if row["trial_id"] in trials]
            if all(trials[row["trial_id"]].state.is_finished() == SlotState(row["state"]).settled for row in begun):
                break
            time.sleep(PAUSE_SECONDS)
        directions = source.get_study_directions(study_id)
    finally:
        engine.dispose()
    attached = [_by_number(trials[row["trial_id"]] for row in begun if row["study"] == part) for part in parts]
    if any([trial.number for trial in own] != list(range(len(own))) for own in attached):
        raise TransferRefused(f"study {study}: some of its trials were made or removed by another program")
    return StudyCopy(study, directions, tables, attached[0], attached[1] if len(parts) > 1 else None)


def _by_number(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    return sorted(trials, key=lambda trial: trial.number)


def _rows(table: sa.Table, studies: list[str]) -> sa.Select[tuple[object, ...]]:
    return sa.select(table).where(table.c.study.in_(studies)).order_by(*table.primary_key.columns)


def _write(url: str, copy: StudyCopy) -> None:
    engine, lock = connect(url), connect(url)
    try:
        with exclusive(lock):
            make_tables(url, engine)
            target = FencedStorage(url, engine)
            names = optuna.get_all_study_names(target)
            if copy.studies.keys() & set(names):
                raise TransferRefused(f"study {copy.name}: in {database_place(url)} already")
            studies: dict[str, int] = {}
            ids: dict[int, int] = {}
            for name, trials in copy.studies.items():
                half = f"{name} (import)"
                if half in names:  # the process that copied it has ended before its time
                    optuna.delete_study(study_name=half, storage=target)
                studies[name] = target.create_new_study(copy.directions, half)
                ids |= {trial_id(trial): target.create_new_trial(studies[name], _clean(trial)) for trial in trials}
            with engine.begin() as connection:  # until then they have neither slots nor their names
                for name, study_id in studies.items():
                    connection.execute(sa.update(StudyRow).values(study_name=name).where(StudyRow.study_id == study_id))
                _insert(connection, copy.tables, ids)
    finally:
        engine.dispose()
        lock.dispose()


def _clean(trial: FrozenTrial) -> FrozenTrial:
    """Without the pickles that Optuna's sampler for CMA-ES has left in it; nothing opens them here."""
    trial.system_attrs = {key: value for key, value in trial.system_attrs.items() if not key.startswith("cma:")}
    return trial


def _insert(connection: Connection, tables: Rows, ids: dict[int, int]) -> None:
    for row in tables[ledger]:
        del row["id"]
    for row in tables[sweeps]:  # it may go on with artifacts of its own
        row["artifacts"] = None
    running = [row for row in tables[slots] if row["state"] == SlotState.RUNNING]
    held = [(Claim.of(row), row["lease_end"]) for row in running]
    for row in tables[slots]:
        row["trial_id"] = ids.get(row["trial_id"])
    for row in running:  # its owner works with the other database
        row |= {"state": SlotState.WAITING, "owner": None, "lease_end": None}
    for table, rows in tables.items():
        if rows:
            connection.execute(sa.insert(table), rows)
    for claim, lease_end in held:
        record_change(connection, claim, SlotState.RUNNING, SlotState.WAITING, lease_end)
