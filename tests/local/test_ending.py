"""Sweeps that are ended before their time, and those that get more trials."""

import re
import threading
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.manifest import write_manifest
from jobs.cli.main import main
from jobs.queue import claims
from jobs.queue.best_trial import TooFewCompleted, best_trial
from jobs.queue.connections import connect
from jobs.queue.stop import stop_sweep
from jobs.queue.tables import SlotState
from jobs.runtime import interrupt
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.settings import Settings
from jobs.stages import prepare
from jobs.stages.final_train import stage as final_train
from jobs.stages.sweep.running_trial import RunningTrial
from tests.local.conftest import tiny
from tests.support import reporting
from tests.support.databases import commit, opened
from tests.support.reporting import Reporting
from tests.support.studies import Studies
from tests.support.sweeps import CANCELLED, COMPLETE, EPOCHS, Body, prepared, report, rows, states, status_of, work


def stopping(runs: Path, goes_on: Body, *options: str) -> Body:
    """A trial in whose second epoch somebody stops the sweep."""

    def body(run: RunningTrial) -> None:
        Reporting(1, 0)(run)
        assert main(["stop", "--runs", str(runs), *options]) == 0
        goes_on(run)

    return body


def test_stop_cancels_what_has_not_begun_and_lets_the_rest_finish(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep, settings = prepared(runs, 3)
    work(sweep, settings, stopping(runs, report))
    assert states(settings) == [COMPLETE, CANCELLED, CANCELLED]
    assert [trial.message for trial in status_of(settings).trials] == [None, "stopped by hand", "stopped by hand"]
    assert [trial.number for trial in status_of(settings).trials] == [0, None, None]
    first, line = capsys.readouterr().out.splitlines()
    assert first == "cancelled: 2 not begun, 0 begun"
    assert line.startswith("2/3 trials settled, 1 running, 2 cancelled")
    assert main(["stop", "--now", "--runs", str(runs)]) == 0  # nothing is left
    assert capsys.readouterr().out.startswith("cancelled: 0 not begun, 0 begun\n3/3 trials settled")


def steps(run: RunningTrial) -> None:
    """Trains for as long as it is let."""
    while True:
        run.step()
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("goes_on", "renewal"),
    [(steps, 0.1), (report, 15)],
    ids=["at a step", "at the end of an epoch"],
)
def test_stop_now_ends_what_runs_and_its_owner_finds_the_lease_lost(
    runs: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    goes_on: Body,
    renewal: float,
) -> None:
    sweep, settings = prepared(runs, 4)

    def is_interrupted(run: RunningTrial) -> None:
        Reporting(1, 0)(run)
        raise interrupt.Interrupted

    with pytest.raises(interrupt.Interrupted):
        work(sweep, settings, is_interrupted)
    assert commit(connect(settings.database_url), claims.claim, "quick", "elsewhere", 600)  # takes that one up
    work(sweep, settings.model_copy(update={"renewal_seconds": renewal}), stopping(runs, goes_on, "--now"))
    (warning,) = [record for record in caplog.records if record.levelname != "INFO"]
    assert re.fullmatch(r"slot 1: .*; the trial is dropped", warning.getMessage())
    assert states(settings) == [CANCELLED] * 4
    assert capsys.readouterr().out.splitlines() == [
        "cancelled: 2 not begun, 2 begun",
        "4/4 trials settled, 4 cancelled",
    ]
    trials = optuna.load_study(study_name="quick", storage=settings.database_url).trials
    assert [(trial.state, sorted(trial.intermediate_values)) for trial in trials] == [(TrialState.FAIL, [1])] * 2


def test_stop_by_two_at_once_ends_every_trial_once(runs: Path) -> None:
    _, settings = prepared(runs, 12)
    engine = connect(settings.database_url)
    for number in range(12):
        assert commit(engine, claims.claim, "quick", f"w{number}", 600)
    stopped, together = [], threading.Barrier(2)

    def stop() -> None:
        database = opened(settings.database_url)
        together.wait()
        stopped.append(stop_sweep(database, "quick", now=True))
        database.close()

    threads = [threading.Thread(target=stop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [unbegun for unbegun, _ in stopped] == [0, 0]
    assert sum(begun for _, begun in stopped) == 12
    assert states(settings) == [CANCELLED] * 12


@pytest.mark.parametrize(
    ("ceiling", "gpus", "expected"),
    [
        ("maxHours", 0, [COMPLETE, CANCELLED, CANCELLED]),
        ("maxGpuHours", 1, [COMPLETE, CANCELLED, CANCELLED]),
        ("maxGpuHours", 0, [COMPLETE] * 3),
    ],
)
def test_sweep_ends_when_its_hours_are_used_up(
    runs: Path, ceiling: str, gpus: float, expected: list[SlotState]
) -> None:
    sweep, settings = prepared(runs, 3, f"sweep.{ceiling}=0.000001")  # a hundredth of what one trial takes
    work(sweep, settings, gpus=gpus)
    assert states(settings) == expected
    for trial in status_of(settings).trials[expected.count(COMPLETE) :]:
        assert trial.message == f"sweep.{ceiling}=1e-06 reached"
    assert best_trial(sweep, status_of(settings)).state is COMPLETE


def test_sweep_ends_where_nothing_better_is_found_and_confirms_what_is_best(runs: Path) -> None:
    space = "searchSpace={dropout: {low: 0.0, high: 0.5}}"
    confirm = "sweep.confirm={trials: 1, seeds: 2}"
    sweep, settings = prepared(runs, 12, space, confirm, "sweep.stop={patience: 3}", "sweep.sampler.name=random")
    work(sweep, settings)
    status = status_of(settings)
    rises = [trial.accuracy or 0.0 for trial in status.trials if trial.state is COMPLETE]
    begun = len(rises)
    assert 4 <= begun < 12  # with this seed
    assert rises.index(max(rises)) == begun - 1 - 3
    assert status.count(CANCELLED) == 12 - begun
    reason = "sweep.stop.patience=3 reached: nothing better in the last 3 trials"
    assert {trial.message for trial in status.trials[begun:]} == {reason}
    assert [one.state for one in status.confirmations] == [COMPLETE] * 2
    best = best_trial(sweep, status)
    assert best.number == begun - 1 - 3


def test_final_training_needs_so_many_complete_trials(runs: Path) -> None:
    sweep, settings = prepared(runs, 3, "sweep.minCompleted=2")
    work(sweep, settings, stopping(runs, report))
    with pytest.raises(TooFewCompleted) as raised:
        final_train.run(sweep, settings, FolderArtifacts(runs))
    assert str(raised.value).startswith("sweep.minCompleted=2: 1 trials of the sweep are complete (3/3 trials settled")
    enough = reporting.experiment(3, EPOCHS, "sweep.minCompleted=1")
    assert best_trial(enough, status_of(settings)).number == 0


def test_more_trials_later_add_slots_and_change_no_other(settings: Settings, root: FolderArtifacts) -> None:
    sweep = tiny()
    prepare.run(sweep, settings, root)
    work(sweep, settings, Reporting(3, 0))
    write_manifest(root.under("quick"))
    before = rows(settings.database_url)
    prepare.run(sweep, settings, root)
    assert root.under("quick").exists("manifest.json")
    prepare.run(tiny("sweep.trials=6", "sweep.minCompleted=2", "sweep.maxHours=9"), settings, root)
    after = rows(settings.database_url)
    assert after[:4] == before
    assert [(row.state, row.trial_id) for row in after[4:]] == [(SlotState.WAITING, None)] * 2
    assert not root.under("quick").exists("manifest.json")  # it is no longer the result
    work(sweep, settings, Reporting(3, 0))
    assert [trial.number for trial in status_of(settings).trials] == list(range(6))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sweep.trials=3", "sweep.trials=3: the study has 4 already; trials can be added, not taken away"),
        ("sweep.epochs=5", "sweep.epochs=5: {}, where it is 3; "),
        ("sweep.sampler.name=random", "sweep.sampler.name='random': {}, where it is 'tpe'; "),
        ("searchSpace.lr.high=0.5", "searchSpace.lr.high=0.5: {}, where it is 0.3; "),
        ("searchSpace.dropout={low: 0, high: 0.5}", "searchSpace.dropout={{low: 0.0, high: 0.5, "),
        ("data.limit=300", "data.limit=300: {}, where it is 240; "),
        ("budget.parameters=20000", "budget.parameters=20000: {}, where it is 10000; "),
        ("finalTrain.epochs=4", "finalTrain.epochs=4: {}, where it is 3; "),
    ],
)
@pytest.mark.parametrize("kept", ["artifacts", "database"])
def test_any_other_change_is_refused_by_field_wherever_the_study_is(
    settings: Settings,
    root: FolderArtifacts,
    studies: Studies,
    tmp_path: Path,
    kept: str,
    override: str,
    message: str,
) -> None:
    studies.copy(tiny(), after=prepare, to=root)
    if kept == "database":
        root = FolderArtifacts(tmp_path / "new")
    else:
        settings = settings.model_copy(update={"database_url": f"sqlite:///{tmp_path}/new.db"})
    with pytest.raises(ConfigurationError) as raised:
        prepare.run(tiny(override), settings, root)
    where = root.path("quick") if kept == "artifacts" else f"{tmp_path}/study.db"
    assert str(raised.value).startswith(message.format(f"study quick in {where} belongs to another experiment"))
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "new.db").exists()
