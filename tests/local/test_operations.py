"""What people see of a sweep, and how they name it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.manifest import write_manifest
from jobs.cli.main import main
from jobs.queue import claims
from jobs.queue.connections import connect
from jobs.queue.database import Database
from jobs.queue.fenced_storage import create_tables
from jobs.queue.slots import read_slots
from jobs.queue.status_reader import sweep_status
from jobs.queue.tables import sweeps
from jobs.runtime.errors import Refused
from jobs.runtime.retry import Patience
from tests.support import reporting
from tests.support.databases import commit, opened
from tests.support.patience import PATIENCE_SECONDS
from tests.support.reporting import Reporting
from tests.support.sweeps import EPOCHS, prepared, status_of, work


def test_status_shows_what_runs_what_went_wrong_and_the_best(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep, settings = prepared(runs, 5)
    assert commit(connect(settings.database_url), claims.claim, "quick", "somewhere-7", 600)
    for index in range(2):  # what one worker could not run, another one tries
        of_worker = settings.model_copy(update={"job_completion_index": index})
        work(sweep, of_worker, Reporting(EPOCHS, 0, failing_slot=2))
    assert main(["status", "--runs", str(runs)]) == 0
    summary, tables = capsys.readouterr().out.split("\n", 1)
    best = status_of(settings).best
    assert best is not None
    assert summary.startswith("quick: 4/5 trials settled, 1 running, 3 complete, 1 failed, best ")
    assert f"(trial {best.number})" in summary
    running, troubled, ranking = re.split(r"^in trouble|^best", tables, flags=re.MULTILINE)
    assert "somewhere-7" in running
    assert "0/2" in running
    assert "(slot 0)" in running
    assert "RuntimeError: this one always fails" in troubled
    (first, *_) = [line for line in ranking.splitlines() if line.startswith("│")]
    assert first.split("│")[1:3] == [f" {best.number}     ", f" {100 * best.accuracy:.1f} %   "]

    assert main(["status", "quick", "--runs", str(runs), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["study"], told["trials"], told["settled"]) == ("quick", 5, 4)
    assert told["states"] == {"running": 1, "complete": 3, "failed": 1}
    assert told["best"]["number"] == best.number
    assert told["slots"][0]["owner"] == "somewhere-7"
    assert 0 < told["slots"][0]["leaseLeft"] <= 600
    assert told["slots"][2]["traceback"].startswith("Traceback (most recent call last)")


def test_no_command_imports_torch_and_watch_ends_with_the_sweep(runs: Path, tmp_path: Path) -> None:
    sweep, settings = prepared(runs, 3)
    work(sweep, settings)
    write_manifest(FolderArtifacts(runs / "quick"))
    local = ["--runs", str(runs)]
    commands = [
        ["status", *local],
        ["stop", *local],
        ["verify", str(runs / "quick")],
        ["fetch", str(runs / "quick"), "--to", str(tmp_path / "fetched")],
        ["export", *local, "--file", str(tmp_path / "study")],
    ]
    database = f"sqlite:///{tmp_path}/other.db"
    script = (
        "import os, sys; from jobs.cli.main import main\n"
        f"for command in {commands}: assert main(command) == 0, command\n"
        f"os.environ['DATABASE_URL'] = {database!r}\n"
        f"for command in {[['import', str(tmp_path / 'study')], ['status', '--watch']]}: assert main(command) == 0\n"
        "print(*[name for name in ('torch', 'torchvision', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-1] == ""
    watched = process.stderr.splitlines()
    assert [" complete, validation accuracy " in line for line in watched] == [True, True, True, False]
    assert "3/3 trials settled, 3 complete, best " in watched[-1]


@pytest.mark.parametrize(
    "command", [["status"], ["stop"], ["export", "--file", "x.db"]], ids=lambda command: command[0]
)
@pytest.mark.parametrize(
    ("studies", "named", "listed"),
    [(["a", "b"], [], "a, b"), (["a", "b"], ["c"], "a, b"), (["a"], ["c"], "a")],
    ids=["several", "another of several", "another"],
)
def test_study_that_cannot_be_chosen_is_asked_for_with_those_there_are(
    runs: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    studies: list[str],
    named: list[str],
    listed: str,
) -> None:
    shared = f"sqlite:///{runs}/shared.db"
    runs.mkdir()
    create_tables(shared)
    for name in studies:
        sweep, _ = prepared(runs, 1, f"study.name={name}")
        reporting.prepare(sweep, shared)
    assert main([*command, *named, "--runs", str(runs)]) == 78
    given = f"resnet-sweep: STUDY={''.join(named)}: "
    words = f"DATABASE_URL is not set, and the studies below {runs} are: {listed}\n"
    assert capsys.readouterr().err == given + words
    monkeypatch.setenv("DATABASE_URL", shared)
    assert main([*command, *named]) == 78
    assert capsys.readouterr().err == f"{given}the studies in {runs}/shared.db are: {listed}\n"


@pytest.mark.parametrize(
    "command", [["status"], ["stop"], ["export", "--file", "x.db"]], ids=lambda command: command[0]
)
def test_before_any_sweep_it_is_said_how_one_begins(
    command: list[str], runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([*command, "--runs", str(runs)]) == 78
    assert capsys.readouterr().err == (
        f"resnet-sweep: --runs={runs}: no sweep there yet; `resnet-sweep local` begins one, and DATABASE_URL names the "
        "database of one that runs elsewhere\n"
    )
    runs.mkdir()
    create_tables(f"sqlite:///{runs}/shared.db")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{runs}/shared.db")
    assert main(command) == 78
    said = f"{runs}/shared.db: no study there yet; `resnet-sweep prepare` makes one"
    assert capsys.readouterr().err == f"resnet-sweep: {said}\n"


def test_renamed_folder_names_its_study(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepared(runs, 3)
    prepared(runs, 1, "study.name=other")
    (runs / "quick").rename(runs / "before the holidays")
    for name, study in (("before the holidays", "quick"), ("other", "other")):
        assert main(["status", name, "--runs", str(runs)]) == 0
        assert capsys.readouterr().out.startswith(f"{study}: 0/")
    assert main(["stop", "before the holidays", "--runs", str(runs)]) == 0
    assert "cancelled: 3 not begun" in capsys.readouterr().out
    assert main(["status", "quick", "--runs", str(runs)]) == 78
    assert capsys.readouterr().err.endswith(f"the studies below {runs} are: before the holidays, other\n")


def test_folder_cannot_move_the_cursor(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepared(runs, 1)
    (runs / "quick").rename(runs / "\x1b[2J\n")
    assert main(["status", "quick", "--runs", str(runs)]) == 78
    assert capsys.readouterr().err.endswith(r" are: \x1b[2J\n" + "\n")


def test_status_of_any_message_is_printed_to_a_terminal_of_any_encoding(runs: Path) -> None:
    _, settings = prepared(runs, 1)
    commit(connect(settings.database_url), claims.claim, "quick", "café [/x] \x1b[2J", 600)
    command = [sys.executable, "-m", "jobs", "status", "--runs", str(runs)]
    for encoding, owner in (("utf-8", "café"), ("ascii", r"caf\xe9")):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=PATIENCE_SECONDS)
        assert owner.encode() + rb" [/x] \x1b[2J" in done.stdout


def test_database_that_is_not_there_or_none_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "study.db"
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{file}")
    assert main(["status"]) == 78
    assert capsys.readouterr().err == f"resnet-sweep: DATABASE_URL=sqlite:///{file}: no such file\n"
    assert not file.exists()
    file.write_text("no database")
    assert main(["status"]) == 1
    assert capsys.readouterr().err == f"resnet-sweep: {file}: file is not a database\n"


@pytest.mark.parametrize("name", ["what?", "no. #1", "100%", "a%3Fb", "{x}", "a&mode=ro"])
def test_study_lies_in_the_folder_of_runs_whatever_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    runs = tmp_path / name
    sweep, settings = prepared(runs, 2)
    work(sweep, settings)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert [file.name for file in runs.iterdir()] == ["quick"]
    assert {file.name.partition("-")[0] for file in (runs / "quick").iterdir()} == {"study.db", "trials"}
    assert main(["status", "--runs", str(runs)]) == 0
    assert capsys.readouterr().out.startswith("quick: 2/2 trials settled, 2 complete")
    assert main(["export", "--runs", str(runs), "--file", str(runs / "[study]?")]) == 0
    assert sorted(file.name for file in runs.iterdir()) == ["[study]?", "quick"]


def test_looking_at_a_study_changes_no_file_and_makes_none(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, settings = prepared(runs, 3)

    def files() -> dict[str, tuple[int, bytes]]:
        return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in (runs / "quick").glob("*.db*")}

    before = files()
    assert list(before) == ["study.db"]
    assert main(["status", "--runs", str(runs)]) == 0
    assert main(["export", "--runs", str(runs), "--file", str(tmp_path / "study")]) == 0
    assert files() == before
    exported = (tmp_path / "study").read_bytes()
    with monkeypatch.context() as patch:
        patch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/study")
        assert main(["status"]) == 0
    assert (tmp_path / "study").read_bytes() == exported
    assert {file.name for file in tmp_path.iterdir()} == {"runs", "study"}
    with connect(settings.database_url).begin() as connection:  # what is not yet in the file itself is seen, too
        connection.execute(claims.slots.update().where(claims.slots.c.slot == 0).values(message="seen"))
    assert (runs / "quick/study.db-wal").stat().st_size > 0
    database = Database(settings.database_url, Patience(1), read_only=True)
    assert sweep_status(database, "quick").trials[0].message == "seen"
    with pytest.raises(Refused, match="attempt to write a readonly database"):
        database.write(lambda connection: connection.execute(claims.slots.delete()))


@pytest.mark.parametrize("command", ["status", "stop", "export"])
def test_experiment_of_another_study_makes_no_command_take_that_one(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    shared = f"sqlite:///{tmp_path}/shared.db"
    for name in ("mine", "prod"):
        reporting.prepare(reporting.experiment(2, 1, f"study.name={name}"), shared)
    engine = connect(shared)
    with engine.begin() as connection:
        theirs = sa.select(sweeps.c.experiment).where(sweeps.c.study == "prod").scalar_subquery()
        connection.execute(sa.update(sweeps).where(sweeps.c.study == "mine").values(experiment=theirs))
    engine.dispose()
    monkeypatch.setenv("DATABASE_URL", shared)
    options = ["--file", str(tmp_path / "study")] if command == "export" else []
    assert main([command, "mine", "--runs", str(runs), *options]) == 1
    told = "resnet-sweep: study mine: the database has the experiment of study prod for it\n"
    assert capsys.readouterr().err == told
    assert {row.state for row in opened(shared).read(lambda connection: read_slots(connection, "prod"))} == {"waiting"}
    assert not (tmp_path / "study").exists()


def test_reader_who_has_seen_enough_ends_a_command_quietly(runs: Path) -> None:
    prepared(runs, 300)
    command = [sys.executable, "-m", "jobs", "status", "--runs", str(runs), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "{\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
