"""Sweeps that are carried from one database to another."""

import hashlib
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from optuna.trial import FrozenTrial

from jobs.cli.main import main
from jobs.queue import claims, export_import
from jobs.queue.connections import connect
from jobs.queue.fenced_storage import create_tables
from jobs.queue.ledger import read_usage
from jobs.queue.tables import SlotState, ledger, slots, sweeps
from jobs.runtime import interrupt
from jobs.stages.sweep.running_trial import RunningTrial, TrialEnds
from tests.support.checker import check_sweep
from tests.support.databases import commit, opened
from tests.support.reporting import Reporting
from tests.support.sweeps import COMPLETE, place, prepared, report, rows, status_of, work
from tests.support.version_1 import sqlite_of_version_1


def trials_of(url: str) -> list[FrozenTrial]:
    return optuna.load_study(study_name="quick", storage=url).trials


def export(runs: Path, file: Path) -> None:
    assert main(["export", "--runs", str(runs), "--file", str(file)]) == 0


def files(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Another database, and the one that commands find."""
    url = f"sqlite:///{tmp_path}/other.db"
    monkeypatch.setenv("DATABASE_URL", url)
    return url


def test_study_that_is_carried_elsewhere_goes_on_there_with_the_same_trials(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, settings = prepared(runs, 6)
    file, url = tmp_path / "study", f"sqlite:///{tmp_path}/other.db"

    def body(run: RunningTrial) -> None:
        match run.slot:
            case 1:
                run.note_excess(123)
                raise TrialEnds(SlotState.INFEASIBLE, "123 too many")
            case 2:
                raise RuntimeError("no")
            case 3 if not run.epochs and not file.exists():
                Reporting(1, 0)(run)
                export(runs, file)  # while it runs
                raise interrupt.Interrupted
        report(run)

    with pytest.raises(interrupt.Interrupted):
        work(sweep, settings, body)
    written = files(tmp_path)
    monkeypatch.setenv("DATABASE_URL", url)
    assert main(["import", str(file)]) == 0
    assert files(tmp_path) == written | files(tmp_path / "runs") | {"other.db": files(tmp_path)["other.db"]}

    was, now = rows(settings.database_url), rows(url)
    told = [(row.slot, row.state, row.owner, row.fence, row.attempts, row.crashes, row.message) for row in now]
    assert told == [(row.slot, row.state, row.owner, row.fence, row.attempts, row.crashes, row.message) for row in was]
    assert [row.state for row in now] == [COMPLETE, SlotState.INFEASIBLE, SlotState.FAILED, *[SlotState.WAITING] * 3]
    for before, after in zip(trials_of(settings.database_url), trials_of(url), strict=True):
        assert (after.number, after.state, after.params) == (before.number, before.state, before.params)
        assert (after.values, after.intermediate_values) == (before.values, before.intermediate_values)
        assert (after.user_attrs, after.constraints) == (before.user_attrs, before.constraints)
        assert (after.datetime_start, after.datetime_complete) == (before.datetime_start, before.datetime_complete)
    assert trials_of(url)[1].constraints == {"parameters over budget": 123}
    assert trials_of(url)[3].intermediate_values.keys() == {1}

    work(sweep, place(url, runs), body)
    check_sweep(opened(url), "quick", 6)
    assert [trial.number for trial in status_of(place(url, runs)).trials] == list(range(6))
    assert (rows(settings.database_url)) == was


def test_time_between_export_and_import_is_no_time_of_the_sweep(runs: Path, tmp_path: Path, other: str) -> None:
    _, settings = prepared(runs, 1)
    engine = connect(settings.database_url)
    assert commit(engine, claims.claim, "quick", "vanished", 3600, gpus=1)
    with engine.begin() as connection:  # ten hours ago, for one hour
        connection.execute(sa.update(ledger).values(at=ledger.c.at - 36_000))
        connection.execute(sa.update(claims.slots).values(lease_end=claims.slots.c.lease_end - 36_000))
    export_import.export_study(settings.database_url, "quick", tmp_path / "study")
    assert main(["import", str(tmp_path / "study")]) == 0
    with connect(other).connect() as connection:
        cost = read_usage(connection, "quick")
    assert cost.hours == pytest.approx(1, abs=0.01)
    assert cost.gpu_hours == pytest.approx(1, abs=0.01)


def test_import_that_was_killed_half_way_is_made_anew(runs: Path, tmp_path: Path, other: str) -> None:
    sweep, settings = prepared(runs, 2)
    work(sweep, settings)
    export_import.export_study(settings.database_url, "quick", tmp_path / "study")
    create_tables(other)
    half = optuna.create_study(study_name="quick (import)", storage=other, direction="maximize")
    half.add_trial(trials_of(settings.database_url)[0])
    assert main(["import", str(tmp_path / "study")]) == 0
    check_sweep(opened(other), "quick", 2)
    assert optuna.get_all_study_names(other) == ["quick"]


def test_another_program_s_study_of_the_same_name_is_left_alone(
    runs: Path, tmp_path: Path, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, settings = prepared(runs, 2)
    export_import.export_study(settings.database_url, "quick", tmp_path / "study")
    theirs = optuna.create_study(study_name="quick", storage=other)
    theirs.tell(theirs.ask(), 1.0)
    assert main(["import", str(tmp_path / "study")]) == 1
    assert capsys.readouterr().err == f"resnet-sweep: study quick: in {tmp_path}/other.db already\n"
    assert [trial.value for trial in trials_of(other)] == [1.0]


def test_study_that_is_there_already_is_not_overwritten(
    runs: Path, tmp_path: Path, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep, settings = prepared(runs, 2)
    file = tmp_path / "study"
    export_import.export_study(settings.database_url, "quick", file)
    assert main(["import", str(file)]) == 0
    work(sweep, place(other, runs))
    before = rows(other)
    capsys.readouterr()
    assert main(["import", str(file)]) == 1
    assert capsys.readouterr().err == f"resnet-sweep: study quick: in {tmp_path}/other.db already\n"
    assert rows(other) == before
    written = file.read_bytes()
    assert main(["export", "--file", str(file)]) == 1
    assert capsys.readouterr().err == f"resnet-sweep: {file}: exists already\n"
    assert file.read_bytes() == written


def foreign_database(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE letters (text)")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda _file: None, "no such file"),
        (lambda file: file.write_text("nothing of this kind" * 100), "file is not a database"),
        (lambda file: file.touch(), "not a file that `resnet-sweep export` wrote"),
        (foreign_database, "holds the table 'letters', which no study has"),
        (lambda file: create_tables(f"sqlite:///{file}"), "not a file that `resnet-sweep export` wrote"),
    ],
    ids=["missing", "garbage", "empty", "foreign", "without a study"],
)
def test_file_that_is_no_study_is_refused_and_left_as_it_is(
    tmp_path: Path, other: str, capsys: pytest.CaptureFixture[str], write: Callable[[Path], object], message: str
) -> None:
    file = tmp_path / "study"
    write(file)
    before = files(tmp_path)
    assert main(["import", str(file)]) == 1
    assert capsys.readouterr().err == f"resnet-sweep: {file}: {message}\n"
    assert files(tmp_path) == before


SWEEPS, SLOTS, LEDGER = (table.name for table in (sweeps, slots, ledger))
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS study, i AS experiment FROM n"
LIES = {
    "view": (f"DROP TABLE {SWEEPS}; CREATE VIEW {SWEEPS} AS {ENDLESS}", f"holds the view '{SWEEPS}', which no study has"),
    "another view": (f"CREATE VIEW v AS {ENDLESS}", "holds the view 'v', which no study has"),
    "virtual table": ("CREATE VIRTUAL TABLE v USING fts5(x)", "holds the table 'v', which no study has"),
    "trigger": (
        f"CREATE TRIGGER t AFTER INSERT ON {SLOTS} BEGIN DELETE FROM trials; END", "holds the trigger 't', which no study has",
    ),
    "generated column": (
        f"ALTER TABLE {SLOTS} ADD COLUMN g AS (hex(zeroblob(100000000)))", f"holds the table '{SLOTS}', which no study has",
    ),
    "index of an expression": (f"CREATE INDEX i ON {SLOTS} (abs(slot))", "holds the index 'i', which no study has"),
    "another name": (
        f"UPDATE {SWEEPS} SET study = 'prod'; UPDATE {SLOTS} SET study = 'prod'; UPDATE studies SET study_name = 'prod'",
        "study 'prod' has the experiment of study 'quick'",
    ),
    "another experiment": (
        f"UPDATE {SWEEPS} SET experiment = replace(experiment, 'name: quick', 'name: prod')",
        "study 'quick' has the experiment of study 'prod'",
    ),
    "two studies": (f"INSERT INTO {SWEEPS} VALUES ('b', '', NULL, NULL)", "not a file that `resnet-sweep export` wrote"),
    "no experiment": (f"UPDATE {SWEEPS} SET experiment = '[1]'", "damaged: ConfigurationError: "),
    "slot missing": (f"DELETE FROM {SLOTS} WHERE slot = 2", "its slots are not those of 3 trials"),
    "text for a number": (f"UPDATE {SLOTS} SET attempts = 'many'", f"{SLOTS}.attempts: 'many'"),
    "below 0": (f"UPDATE {SLOTS} SET fence = -1 WHERE slot = 2", f"{SLOTS}.fence: -1"),
    "nothing": (f"UPDATE {SLOTS} SET gpus = 9e999", f"{SLOTS}.gpus: inf"),
    "state": (f"UPDATE {SLOTS} SET state = 'won'", "damaged: ValueError: 'won' is not a valid SlotState"),
    "state before": (f"UPDATE {SLOTS} SET previous = 'won'", f"{SLOTS}.previous: 'won'"),
    "ledger": (f"UPDATE {LEDGER} SET to_state = x'00'", f"{LEDGER}.to_state: b'\\x00'"),
    "long text": (f"UPDATE {SLOTS} SET message = printf('%.*c', 2000000, 'x')", f"{SLOTS}.message: 'xxx"),
    "parameters": (f"UPDATE {SLOTS} SET parameters = '{{\"lr\": 9}}'", "slot 0: its parameters are not those of its experiment"),
    "another end": ("UPDATE trials SET state = 'FAIL' WHERE number = 1", "slot 1: complete, and its trial is FAIL"),
    "trial missing": (f"UPDATE {SLOTS} SET trial_id = NULL WHERE slot = 1", "study quick: some of its trials were made"),
    "complete without a trial": (f"UPDATE {SLOTS} SET trial_id = NULL", "slot 0: complete without a trial"),
    "parameter out of its range": (
        "UPDATE trial_params SET param_value = 7 WHERE param_name = 'lr' AND trial_id = 1", "damaged: ValueError: ",
    ),
    "another range": (
        "UPDATE trial_params SET distribution_json = replace(distribution_json, '0.3', '0.4')",
        "trial 0: 'lr' is not searched like this",
    ),
    "distribution": ("UPDATE trial_params SET distribution_json = '{\"name\": \"os.system\"}'", "damaged: "),
    "epoch": ("UPDATE trial_intermediate_values SET step = 99 WHERE step = 2", "trial 0: epochs that are none"),
    "infinite value": ("UPDATE trial_values SET value_type = 'INF_POS', value = NULL", "trial 0: the values [inf]"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_file_that_lies_is_refused_in_one_line_before_anything_is_written(
    finished: Path, tmp_path: Path, other: str, capsys: pytest.CaptureFixture[str], lie: str
) -> None:
    statements, message = LIES[lie]
    file = tmp_path / "study"
    shutil.copy(finished, file)
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(statements)
    assert main(["import", str(file)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"resnet-sweep: {file}: {message}"), told
    assert told.count("\n") == 1
    assert len(told) < 500
    assert files(tmp_path).keys() == {"study"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a study of three complete trials."""
    folder = tmp_path_factory.mktemp("finished")
    sweep, settings = prepared(folder / "runs", 3)
    work(sweep, settings)
    export_import.export_study(settings.database_url, "quick", folder / "study")
    return folder / "study"


def test_file_of_version_1_goes_on_where_it_is_imported(tmp_path: Path, other: str) -> None:
    sqlite_of_version_1(tmp_path / "study")
    before = files(tmp_path)["study"]
    assert main(["import", str(tmp_path / "study")]) == 0
    assert files(tmp_path)["study"] == before
    assert [row.state for row in rows(other)] == [COMPLETE, SlotState.WAITING, SlotState.WAITING]


def test_export_that_fails_leaves_nothing(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, settings = prepared(runs, 1)
    with pytest.raises(export_import.TransferRefused, match="study nowhere: not in"):
        export_import.export_study(settings.database_url, "nowhere", tmp_path / "study")
    assert files(tmp_path) == {}
    file = tmp_path / "nowhere/study"
    assert main(["export", "--runs", str(runs), "--file", str(file)]) == 1
    assert capsys.readouterr().err == f"resnet-sweep: {file}: there is no folder {file.parent}\n"


def test_import_needs_to_be_told_where_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(tmp_path / "study")]) == 78
    message = f"resnet-sweep: DATABASE_URL: needed in the environment to import {tmp_path}/study, but not set\n"
    assert capsys.readouterr().err == message
