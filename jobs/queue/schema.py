"""The tables of a database: made, brought up to date, and never taken for ours when they are another program's."""

import re

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from jobs.queue.database_errors import Unsuitable
from jobs.queue.optuna_internals import OPTUNA_TABLES
from jobs.queue.tables import metadata, schema, sweeps

# What leads from each version of our tables to the next, in SQL that both SQLite and PostgreSQL understand. Statements
# are only ever added here: databases of every version are still about. A table that is new needs none.
UPGRADES: dict[int, tuple[str, ...]] = {
    1: (  # of 0.1.0, which wrote no version
        "ALTER TABLE sweeps RENAME TO resnet_sweep_sweeps",
        "ALTER TABLE slots RENAME TO resnet_sweep_slots",
        "ALTER TABLE slot_ledger RENAME TO resnet_sweep_ledger",
        "DROP INDEX slot_ledger_by_study",
        "CREATE INDEX resnet_sweep_ledger_by_study ON resnet_sweep_ledger (study, slot)",
        "ALTER TABLE resnet_sweep_slots ADD COLUMN failed_at VARCHAR(128)",
        "ALTER TABLE resnet_sweep_slots ADD COLUMN failed_elsewhere BOOLEAN",
    ),
    2: ("ALTER TABLE resnet_sweep_sweeps ADD COLUMN artifacts VARCHAR(32)",),
    3: ("ALTER TABLE resnet_sweep_sweeps ADD COLUMN validation_images INTEGER",),
}
VERSION = max(UPGRADES) + 1
OPTUNA_REVISION = re.compile(r"v\d+\.\d+\.\d+.*")  # what Optuna writes into alembic_version
FIRST = {  # by their columns they are told from another program's tables of the same names
    "sweeps": "study experiment",
    "slots": "study slot parameters trial_id state previous previous_end owner gpus fence lease_end attempts crashes "
    "decided_epoch stops message traceback",
    "slot_ledger": "id study slot fence owner gpus from_state to_state at lease_end",
}


def has_tables(connection: Connection) -> bool:
    """Whether our tables are there.

    Raises:
        Unsuitable: they are of another version than this program.

    """
    version = _version(connection)
    if version is not None and version < VERSION:
        raise Unsuitable(
            f"tables of version {version}, and this program's are of version {VERSION}: `resnet-sweep prepare` with "
            "the study's experiment brings them up to date"
        )
    return version is not None


def upgrade_tables(engine: Engine) -> None:
    """Creates our tables, or brings them up to date, in one transaction.

    Only one process at a time may do so, after `check_tables`.
    """
    with engine.begin() as connection:
        version = _version(connection)
        for step in range(version or VERSION, VERSION):
            for statement in UPGRADES[step]:
                connection.exec_driver_sql(statement)
        metadata.create_all(connection)
        if version != VERSION:
            connection.execute(sa.delete(schema))
            connection.execute(sa.insert(schema).values(version=VERSION))


def check_tables(connection: Connection) -> None:
    """Makes sure that our tables and Optuna's are there, of whatever version, or can be made.

    Raises:
        Unsuitable: one of these names is another program's, or ours are of a later version.

    """
    version = _version(connection)
    for table in metadata.sorted_tables:
        if table is not schema and version in (None, 1) and _columns(connection, table.name):
            raise Unsuitable(_not_ours(table.name))
    for name, columns in OPTUNA_TABLES.items():
        if not columns <= (_columns(connection, name) or columns):
            raise Unsuitable(_not_ours(name))
    if _columns(connection, "alembic_version"):
        revisions = connection.scalars(sa.text("SELECT version_num FROM alembic_version"))
        if not all(OPTUNA_REVISION.fullmatch(revision) for revision in revisions):
            raise Unsuitable(_not_ours("alembic_version"))


def read_sweep(connection: Connection, study: str) -> tuple[str | None, str | None]:
    """Experiment and identity of the artifacts of a sweep, also from tables that are still to be upgraded."""
    version = _version(connection)
    if version is None:
        return None, None
    columns: list[sa.ColumnClause[str]] = [sa.column(name) for name in ("study", "experiment", "artifacts")]
    table = sa.table("sweeps" if version == 1 else sweeps.name, *columns)
    artifacts = table.c.artifacts if version > 2 else sa.null()
    row = connection.execute(sa.select(table.c.experiment, artifacts).where(table.c.study == study)).one_or_none()
    return (None, None) if row is None else (row[0], row[1])


def _version(connection: Connection) -> int | None:
    """None where there are no tables of ours."""
    known = _columns(connection, schema.name)
    if known and known != set(schema.columns.keys()):
        raise Unsuitable(_not_ours(schema.name))
    version = connection.scalar(sa.select(schema.c.version)) if known else None
    if version is None and all(_columns(connection, name) == set(columns.split()) for name, columns in FIRST.items()):
        return 1
    if version is not None and version > VERSION:
        raise Unsuitable(f"tables of version {version}, which a later version of this program has made; use that one")
    return version


def _columns(connection: Connection, table: str) -> set[str]:
    """Of the table that a statement would find by this name; none where there is no such table."""
    inspector = sa.inspect(connection)
    return {column["name"] for column in inspector.get_columns(table)} if inspector.has_table(table) else set()


def _not_ours(table: str) -> str:
    return (
        f"there is a table {table} of another program; choose a database of its own for the sweeps, or for their user "
        "a schema of its own, which is its whole search_path"
    )
