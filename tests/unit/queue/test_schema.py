"""The tables of a database, whichever program or version has made them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from jobs.queue.connections import connect
from jobs.queue.create import make_tables
from jobs.queue.database_errors import Unsuitable
from jobs.queue.schema import UPGRADES, VERSION, has_tables
from jobs.queue.tables import metadata, schema
from tests.support.version_1 import carried_on, columns, sqlite_of_version_1


def make(file: Path) -> None:
    url = f"sqlite:///{file}"
    engine = connect(url)
    try:
        make_tables(url, engine)
    finally:
        engine.dispose()


def run(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def contents(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def test_every_former_version_has_an_upgrade() -> None:
    assert sorted(UPGRADES) == list(range(1, VERSION))


def test_sweep_of_version_1_goes_on_and_has_the_tables_of_a_new_one(tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    sqlite_of_version_1(old)
    make(old)
    make(new)
    assert columns(f"sqlite:///{old}") == columns(f"sqlite:///{new}")
    before = contents(old)
    make(old)
    assert contents(old) == before
    carried_on(f"sqlite:///{old}", tmp_path)


def test_tables_of_another_version_are_refused_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    engine = connect(f"sqlite:///{file}")
    with engine.connect() as connection:
        assert not has_tables(connection)
    sqlite_of_version_1(file)
    with (
        engine.connect() as connection,
        pytest.raises(Unsuitable, match=rf"^tables of version 1, .* {VERSION}: .*prepare"),
    ):
        has_tables(connection)
    make(file)
    with engine.connect() as connection:
        assert has_tables(connection)
    with engine.begin() as connection:
        connection.execute(sa.update(schema).values(version=VERSION + 1))
    before = contents(file)
    later = rf"^tables of version {VERSION + 1}, which a later version"
    with engine.connect() as connection, pytest.raises(Unsuitable, match=later):
        has_tables(connection)
    with pytest.raises(Unsuitable, match=later):
        make(file)
    assert contents(file) == before
    engine.dispose()


@pytest.mark.parametrize("table", [*(name for name in metadata.tables if name != schema.name), "studies", "trials"])
@pytest.mark.parametrize("kind", ["TABLE {} (theirs INTEGER)", "VIEW {} AS SELECT 1 AS theirs"], ids=["table", "view"])
def test_another_program_s_table_is_left_alone(tmp_path: Path, table: str, kind: str) -> None:
    file = tmp_path / "shared.db"
    run(file, f"CREATE {kind.format(table)}")
    with pytest.raises(Unsuitable, match=f"^there is a table {table} of another program; choose a database of its own"):
        make(file)
    with closing(sqlite3.connect(file)) as connection:
        assert [name for (name,) in connection.execute(f"SELECT name FROM pragma_table_info('{table}')")] == ["theirs"]


def test_another_program_s_alembic_version_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "shared.db"
    run(
        file,
        "CREATE TABLE alembic_version (version_num VARCHAR(32))",
        "INSERT INTO alembic_version VALUES ('ae1027a6')",
    )
    before = contents(file)
    with pytest.raises(Unsuitable, match=r"^there is a table alembic_version of another program"):
        make(file)
    assert contents(file) == before


@pytest.mark.parametrize("name", ["sweeps", "slots", "slot_ledger"])
def test_table_of_a_common_name_may_be_another_program_s(tmp_path: Path, name: str) -> None:
    file = tmp_path / "shared.db"
    run(file, f"CREATE TABLE {name} (theirs INTEGER)", f"INSERT INTO {name} VALUES (7)")
    make(file)
    with closing(sqlite3.connect(file)) as connection:
        assert list(connection.execute(f"SELECT theirs FROM {name}")) == [(7,)]
