"""optuna-dashboard beside a sweep: it shows the study and can change nothing."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobs.experiment.experiment import Experiment
from jobs.runners.local import local_database
from jobs.stages.sweep.worker import Worker
from tests.support import reporting
from tests.support.asking import ask
from tests.support.missing import missing
from tests.support.patience import PATIENCE_SECONDS, until
from tests.support.place import Place
from tests.support.postgres import free_port
from tests.support.reporting import Reporting

REPOSITORY = Path(__file__).parents[2]
CHART = REPOSITORY / "charts/resnet-sweep"
POD = [sys.executable, "-c", (CHART / "dashboard/dashboard.py").read_text()]
NOTE = {"body": "mine", "version": 1}
WRITES: list[tuple[str, str, dict[str, Any]]] = [
    ("PUT", "/api/studies/1/note", NOTE),
    ("PUT", "/api/studies/1/1/note", NOTE),
    ("POST", "/api/studies/1/rename", {"study_name": "other"}),
    ("POST", "/api/studies", {"study_name": "another", "directions": ["maximize"]}),
    ("DELETE", "/api/studies/1", {}),
]


@pytest.fixture
def sweep() -> Experiment:
    return reporting.experiment(3, 2)


@pytest.fixture
def reader(place: Place) -> Iterator[str]:
    """URL of the user that the chart would make, who is not there yet."""
    name = f"reader_{place.database}"
    yield f"postgresql://{name}:sEcret1@127.0.0.1:{place.server.port}/{place.database}"
    place.server.execute(f"DROP OWNED BY {name}; DROP ROLE {name}", place.database)


@contextmanager
def dashboard(command: list[str], folder: Path, **environment: str) -> Iterator[int]:
    """Its port, whether it listens yet or not."""
    if shutil.which("optuna-dashboard", path=str(Path(sys.executable).parent)) is None:
        missing("no optuna-dashboard; pip install -e '.[test]' brings it")
    port, log = free_port(), folder / "dashboard.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*command, f"--port={port}"],
            env={**os.environ, "HOME": str(folder), **environment},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        try:
            yield port
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def until_it_answers(port: int) -> None:
    def answers() -> bool:
        try:
            assert ask(port, "/dashboard")[0] == 200
        except OSError:  # it does not listen yet, or is slow
            return False
        return True

    until(answers)


def make_reader(place: Place, reader: str) -> None:
    subprocess.run([*POD, "reader"], env={**os.environ, "DATABASE_URL": reader, "OWNER_URL": place.url()}, check=True)


def work(sweep: Experiment, url: str, folder: Path) -> None:
    patient = {"lease_seconds": 60, "renewal_seconds": 15, "database_timeout_seconds": 10}
    settings = reporting.place(url, folder, **patient)
    Worker(sweep, settings, reporting.artifacts(settings, sweep)).work(Reporting(sweep.sweep.epochs, 0))


def check_shown(port: int, sweep: Experiment) -> None:
    status, answer = ask(port, "/api/studies")
    assert status == 200, answer
    assert [study["study_name"] for study in answer["study_summaries"]] == [sweep.study_name]
    status, study = ask(port, "/api/studies/1")
    assert status == 200, study
    assert [trial["state"] for trial in study["trials"]] == ["Complete"] * sweep.sweep.trials
    assert all(len(trial["intermediate_values"]) == sweep.sweep.epochs for trial in study["trials"])


def check_nothing_can_be_changed(port: int, sweep: Experiment) -> None:
    for method, path, body in WRITES:
        assert ask(port, path, method, body)[0] == 500, path
    check_shown(port, sweep)
    assert ask(port, "/api/studies/1")[1]["note"]["body"] == ""


def test_dashboard_waits_for_the_study_shows_it_and_can_change_nothing(
    place: Place, reader: str, sweep: Experiment
) -> None:
    make_reader(place, reader)
    with dashboard([*POD, "serve"], place.folder, DATABASE_URL=reader) as port:
        time.sleep(1)
        reporting.prepare(sweep, place.url())
        until_it_answers(port)
        work(sweep, place.url(), place.folder)
        check_shown(port, sweep)
        check_nothing_can_be_changed(port, sweep)
        place.check(sweep)
        command = Path("/proc").glob("[0-9]*/cmdline")
        assert not any(b"sEcret1" in _read(file) for file in command)


def test_reader_has_the_password_that_the_secret_has_now(place: Place, reader: str, sweep: Experiment) -> None:
    reporting.prepare(sweep, place.url())
    make_reader(place, reader.replace("sEcret1", "former"))
    make_reader(place, reader)
    with dashboard([*POD, "serve"], place.folder, DATABASE_URL=reader) as port:
        until_it_answers(port)
        assert ask(port, "/api/studies")[0] == 200


def test_user_of_one_s_own_is_made_as_the_readme_says(place: Place, reader: str, sweep: Experiment) -> None:
    (statements,) = re.findall(r"```sql\n(.*?)```", (CHART / "README.md").read_text(), re.DOTALL)
    named = statements.replace("reader", f"reader_{place.database}").replace("…", "sEcret1")
    place.server.execute(named, place.database)
    reporting.prepare(sweep, place.url())
    work(sweep, place.url(), place.folder)
    with dashboard([*POD, "serve"], place.folder, DATABASE_URL=reader) as port:
        until_it_answers(port)
        check_shown(port, sweep)
        check_nothing_can_be_changed(port, sweep)


def test_local_study_is_shown_as_the_readme_says(tmp_path: Path, sweep: Experiment) -> None:
    (url,) = re.findall(r'optuna-dashboard "(sqlite:.*?)"', (REPOSITORY / "README.md").read_text())
    (tmp_path / "runs" / sweep.study_name).mkdir(parents=True)
    database = local_database(tmp_path / "runs", sweep.study_name)
    reporting.prepare(sweep, database)
    work(sweep, database, tmp_path / "runs")
    command = [sys.executable, "-m", "optuna_dashboard._cli", url.replace("runs/", f"{tmp_path}/runs/")]
    with dashboard(command, tmp_path) as port:
        until_it_answers(port)
        check_shown(port, sweep)
        check_nothing_can_be_changed(port, sweep)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has just ended
        return b""
