"""A study with its slots and ledger as one file, out of a database and into another.

The file is a SQLite database with the same tables: `status` and Optuna's own tools read it as it is.
"""

import contextlib
import secrets
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.trial import FrozenTrial
from sqlalchemy import Connection

from jobs.queue.claims import Claim, record_change
from jobs.queue.connections import connect, exclusive
from jobs.queue.create import make_tables
from jobs.queue.fenced_storage import FencedStorage
from jobs.queue.optuna_internals import trial_id
from jobs.queue.schema import upgrade_tables
from jobs.queue.slots import read_experiment
from jobs.queue.tables import SlotState, ledger, slots, sweeps
from jobs.runtime.database_url import database_place, sqlite_url
from jobs.runtime.errors import Failure

READS = 20  # at most, until tables and trials are of one moment
PAUSE_SECONDS = 0.1


class TransferRefused(Failure):
    """There is no such study to copy, or the target has one of this name already."""


def export_study(database_url: str, study: str, file: Path) -> None:
    """Writes the file, which appears only when it is whole.

    Raises:
        TransferRefused: no such study, the file exists, or there is no folder for it.

    """
    if file.exists():
        raise TransferRefused(f"{file}: exists already")
    if not file.parent.is_dir():
        raise TransferRefused(f"{file}: there is no folder {file.parent}")
    partial = file.with_name(f"{file.name}.partial-{secrets.token_hex(4)}")
    try:
        _copy(database_url, sqlite_url(partial), study)
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
        TransferRefused: the file holds no study, or the database has one of this name.

    """
    if not file.is_file():
        raise TransferRefused(f"{file}: no such file")
    with _duplicate(file) as duplicate:
        url = sqlite_url(duplicate)
        engine = connect(url)
        try:
            upgrade_tables(engine)
            with engine.connect() as connection:
                names = list(connection.scalars(sa.select(sweeps.c.study)))
        except sa.exc.DatabaseError:
            names = []
        finally:
            engine.dispose()
        if len(names) != 1:
            raise TransferRefused(f"{file}: not a file that `resnet-sweep export` wrote")
        _copy(url, database_url, names[0])
    return str(names[0])


@contextlib.contextmanager
def _duplicate(file: Path) -> Iterator[Path]:
    """A temporary copy to read: the file itself is not changed, and may lie where nothing can be written."""
    with tempfile.TemporaryDirectory(prefix="resnet-sweep-") as folder:
        duplicate = Path(folder) / "study.db"
        try:
            with (
                contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as source,
                contextlib.closing(sqlite3.connect(duplicate)) as target,
            ):
                source.backup(target)
        except sqlite3.Error as error:
            raise TransferRefused(f"{file}: {error}") from None
        yield duplicate


def _copy(from_url: str, to_url: str, study: str) -> None:
    source, engine, lock = _open(from_url), connect(to_url), connect(to_url)
    try:
        with exclusive(lock):
            make_tables(to_url, engine)
            target = FencedStorage(to_url, engine)
            if _has_sweep(target, study):
                raise TransferRefused(f"study {study}: in {database_place(to_url)} already")
            if not _has_sweep(source, study):
                raise TransferRefused(f"study {study}: not in {database_place(from_url)}")
            if study in optuna.get_all_study_names(target):  # half copied
                optuna.delete_study(study_name=study, storage=target)
            tables, trials = _read(source, study)
            ids = _copy_trials(source, target, study, trials)
            with engine.begin() as connection:  # without its sweep a study counts as half copied
                _insert(connection, tables, ids)
    finally:
        for used in (source.engine, engine, lock):
            used.dispose()


def _open(url: str) -> FencedStorage:
    return FencedStorage(url, connect(url))


def _has_sweep(storage: FencedStorage, study: str) -> bool:
    with storage.engine.connect() as connection:
        return read_experiment(connection, study) is not None


def _read(source: FencedStorage, study: str) -> tuple[dict[sa.Table, list[dict[str, Any]]], list[FrozenTrial]]:
    """Tables and trials of one moment: they are read again where a trial was settled in between.

    What still differs after many reads is taken as it is: somebody has ended or removed a trial from outside.
    """
    study_id = source.get_study_id_from_name(study)
    for _ in range(READS):
        with source.engine.connect() as connection:
            tables = {
                table: [dict(row) for row in connection.execute(_rows(table, study)).mappings()]
                for table in (sweeps, slots, ledger)
            }
        trials = {trial_id(trial): trial for trial in source.get_all_trials(study_id)}
        begun = [row for row in tables[slots] if row["trial_id"] in trials]
        if all(trials[row["trial_id"]].state.is_finished() == SlotState(row["state"]).settled for row in begun):
            break
        time.sleep(PAUSE_SECONDS)
    return tables, sorted((trials[row["trial_id"]] for row in begun), key=lambda trial: trial.number)


def _rows(table: sa.Table, study: str) -> sa.Select[Any]:
    return sa.select(table).where(table.c.study == study).order_by(*table.primary_key.columns)


def _copy_trials(source: FencedStorage, target: FencedStorage, study: str, trials: list[FrozenTrial]) -> dict[int, int]:
    """Copies the study and returns the new ids of its trials by the old ones; their numbers stay."""
    study_id = source.get_study_id_from_name(study)
    new_id = target.create_new_study(source.get_study_directions(study_id), study)
    ids = {}
    for trial in trials:
        ids[trial_id(trial)] = target.create_new_trial(new_id, trial)
        assert target.get_trial(ids[trial_id(trial)]).number == trial.number
    return ids


def _insert(connection: Connection, tables: dict[sa.Table, list[dict[str, Any]]], ids: dict[int, int]) -> None:
    for row in tables[ledger]:
        del row["id"]
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
