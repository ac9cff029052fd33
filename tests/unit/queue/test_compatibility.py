"""What `prepare` and `check` find out about a database before anything is written."""

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa

from jobs.queue.compatibility import check_study
from jobs.queue.create import create_tables
from jobs.queue.database import Database
from jobs.queue.tables import schema
from jobs.runtime.errors import ConfigurationError, Refused
from jobs.runtime.retry import Patience
from tests.support import reporting
from tests.support.databases import opened
from tests.support.version_1 import sqlite_of_version_1


def of_version_99(file: Path) -> None:
    reporting.prepare(reporting.experiment(1, 1), f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"UPDATE {schema.name} SET version = 99")
        connection.commit()


def with_another_table(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE trials (theirs)")


def with_another_study(file: Path) -> None:
    study = optuna.create_study(study_name="quick", storage=f"sqlite:///{file}")
    study.tell(study.ask(), 1.0)


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_study_of_version_1_can_be_extended(tmp_path: Path) -> None:
    sqlite_of_version_1(tmp_path / "study.db")
    before = digest(tmp_path / "study.db")
    url = f"sqlite:///{tmp_path}/study.db"
    database = Database(url, Patience(1), read_only=True)
    with pytest.raises(ConfigurationError, match=r"^sweep\.epochs=3: study quick in .* belongs to another experiment"):
        check_study(reporting.experiment(5, 3), database)
    sweep = reporting.experiment(5, 2)
    check_study(sweep, database)
    assert digest(tmp_path / "study.db") == before
    database = opened(url)
    create_tables(database)
    assert reporting.extend(sweep, database, tmp_path) == (2, 4)
    check_study(sweep, database)
    check_study(reporting.experiment(5, 2, "sweep.stop={patience: 2}", "sweep.maxHours=1"), database)  # may be changed
    database.close()


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (of_version_99, Refused, r": tables of version 99, which a later version of this program has made"),
        (with_another_table, Refused, r": there is a table trials of another program"),
        (
            with_another_study,
            ConfigurationError,
            r"^study\.name=quick: .* has a study of this name from another program",
        ),
    ],
)
def test_database_that_is_not_ours_is_refused_before_anything_is_written(
    tmp_path: Path, make: Callable[[Path], None], kind: type[Exception], message: str
) -> None:
    file = tmp_path / "study.db"
    make(file)
    engine = sa.create_engine(f"sqlite:///{file}")
    before = sa.inspect(engine).get_table_names()
    database = opened(f"sqlite:///{file}")
    with pytest.raises(kind, match=message) as raised:
        check_study(reporting.experiment(2, 1), database)
    assert "\n" not in str(raised.value)
    database.close()
    assert sa.inspect(engine).get_table_names() == before
    engine.dispose()


def test_study_that_prepare_has_only_begun_is_gone_on_with(tmp_path: Path) -> None:
    optuna.create_study(study_name="quick", storage=f"sqlite:///{tmp_path}/study.db", direction="maximize")
    database = opened(f"sqlite:///{tmp_path}/study.db")
    check_study(reporting.experiment(2, 1), database)
    database.close()
