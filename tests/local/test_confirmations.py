"""The best configurations trained again: exactly k times m confirmations, and the best mean wins."""

import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import optuna
import pytest

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.final_training import trained_trial
from jobs.artifacts.manifest import read_manifest, verify
from jobs.cli.main import main
from jobs.experiment.experiment import Experiment
from jobs.queue.best_trial import SweepNotOver, best_trial
from jobs.queue.compatibility import check_study
from jobs.queue.confirmations import count_claimable
from jobs.queue.status import SweepStatus, ranking
from jobs.queue.tables import SlotState
from jobs.runners.local import local_database
from jobs.runtime import interrupt
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.settings import Settings
from jobs.stages import prepare
from jobs.stages.evaluate import stage as evaluate
from jobs.stages.final_train import stage as final_train
from jobs.stages.sweep import stage as sweep_stage
from jobs.stages.sweep.running_trial import RunningTrial
from tests.local.conftest import tiny
from tests.support import confirming, reporting
from tests.support.confirming import EPOCHS, Held, Judged, KilledOnce, checked, is_confirmation, told
from tests.support.databases import opened
from tests.support.patience import PATIENCE_SECONDS, until
from tests.support.sweeps import CANCELLED, COMPLETE, Body, place, status_of, work

THREE_TWICE = "{trials: 3, seeds: 2}"
Start = Callable[[Experiment, Settings, Judged], BaseProcess]
judged = Judged()


def prepared(runs: Path, sweep: Experiment) -> Settings:
    (runs / sweep.study_name).mkdir(parents=True)
    settings = place(local_database(runs, sweep.study_name), runs)
    reporting.prepare(sweep, settings.database_url)
    return settings


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a worker process, which does not outlive the test."""
    processes: list[BaseProcess] = []

    def start(sweep: Experiment, settings: Settings, body: Judged) -> BaseProcess:
        processes.append(reporting.start(sweep, settings, body))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.join()


def extended(settings: Settings, sweep: Experiment) -> None:
    database = opened(settings.database_url)
    reporting.extend(sweep, database, Path(settings.artifacts_url))
    database.close()


def claimable(settings: Settings) -> int:
    return opened(settings.database_url).read(lambda connection: count_claimable(connection, "quick"))


def places(status: SweepStatus) -> list[int | None]:
    return [trial.number for trial in ranking(status.trials)]


def test_best_mean_of_exactly_so_many_confirmations_wins(runs: Path) -> None:
    sweep = confirming.experiment(5, THREE_TWICE)
    settings = prepared(runs, sweep)
    assert status_of(settings).unsettled == 11  # from the start on
    assert claimable(settings) == 5  # what is to be confirmed nobody knows yet
    work(sweep, settings, judged)
    status = checked(settings, sweep, 6)
    first, _second, third, *_ = ranking(status.trials)
    assert [one.state for one in status.confirmations] == [COMPLETE] * 6
    in_order = [trial.parameters for trial in ranking(status.trials)[:3] for _ in range(2)]  # slot = rank * m + seed
    assert [one.parameters for one in status.confirmations] == in_order
    assert [one.rank for one in status.confirmed] == [1, 2, 3]
    assert status.winner is not None
    assert status.winner.mean == pytest.approx(0.5 + third.parameters["dropout"] + 0.0045)
    assert best_trial(sweep, status) == third != first
    assert (
        f"6/6 confirmations settled, 6 complete, confirmed {100 * status.winner.mean:.1f} % ({third.name})"
        in status.line()
    )
    trials = optuna.load_study(study_name="quick", storage=settings.database_url).trials
    assert len(trials) == 5  # no confirmation among them, of which the sampler would learn
    kept = [key for key in reporting.artifacts(settings, sweep).listing() if key.startswith("confirm/")]
    assert kept == [f"confirm/trials/{number}/epochs.jsonl" for number in range(6)]


def test_seeds_of_confirmations_are_others_than_those_of_trials_and_the_images_are_the_same(runs: Path) -> None:
    sweep, seeds = confirming.experiment(3, "{trials: 2, seeds: 2}"), set()
    settings = prepared(runs, sweep)
    work(sweep, settings, Judged(lambda run, _epoch: seeds.add((run.experiment.seed, is_confirmation(run)))))
    (of_sweep,) = {seed for seed, confirms in seeds if not confirms}
    (of_confirmations,) = {seed for seed, confirms in seeds if confirms}
    assert of_sweep == sweep.seed != of_confirmations


def test_final_training_waits_for_the_confirmations(runs: Path) -> None:
    sweep = confirming.experiment(2, "{trials: 1, seeds: 2}")
    settings = prepared(runs, sweep)
    seen: list[str] = []

    def at(run: RunningTrial, _epoch: int) -> None:
        if is_confirmation(run) and not seen:
            with pytest.raises(SweepNotOver) as raised:
                best_trial(sweep, status_of(settings))
            seen.append(str(raised.value))

    work(sweep, settings, Judged(at))
    assert seen[0].startswith("2 trials and confirmations of the sweep are not settled (2/2 trials settled")


def test_equal_configurations_are_confirmed_once_and_what_is_left_over_is_cancelled(runs: Path) -> None:
    none = "searchSpace={batchSize: null, dropout: null, lr: null, optimizer: null}"
    twice = "sweep.configurations=[{dropout: 0.1}, {dropout: 0.1}, {dropout: 0.2}]"
    sweep = reporting.experiment(3, 2, "sweep.sampler.name=manual", none, twice, "sweep.confirm={trials: 3, seeds: 2}")
    settings = prepared(runs, sweep)
    work(sweep, settings, judged)
    status = checked(settings, sweep, 6)
    assert [one.state for one in status.confirmations] == [*[COMPLETE] * 4, CANCELLED, CANCELLED]
    reason = "sweep.confirm.trials=3: 2 different configurations are complete"
    assert [one.message for one in status.confirmations[4:]] == [reason] * 2
    assert [(one.rank, one.trial.number) for one in status.confirmed] == [(1, 0), (2, 2)]


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_that_are_killed_in_every_epoch_change_no_confirmation(
    runs: Path, start: Start, tmp_path_factory: pytest.TempPathFactory, workers: int
) -> None:
    sweep = confirming.experiment(4, THREE_TWICE, "sweep.sampler.name=random")
    undisturbed = prepared(tmp_path_factory.mktemp("undisturbed"), sweep)
    work(sweep, undisturbed, judged)
    place_ = prepared(runs, sweep).database_url
    settings = reporting.place(place_, runs)
    body = Judged(KilledOnce(runs))
    processes = [start(sweep, settings, body) for _ in range(workers)]

    def settled() -> bool:
        for _ in range(workers - sum(process.is_alive() for process in processes)):
            if claimable(settings):
                processes.append(start(sweep, settings, body))
        return not status_of(settings).unsettled

    until(settled)
    for process in processes:
        process.join(PATIENCE_SECONDS)
    exit_codes = Counter(process.exitcode for process in processes)
    assert exit_codes.keys() == {0, -signal.SIGKILL}
    assert exit_codes[-signal.SIGKILL] == 6 * EPOCHS  # once before each epoch of each confirmation
    assert told(checked(settings, sweep, 6)) == told(checked(undisturbed, sweep, 6))


def test_worker_waits_for_the_last_trial_of_another_and_takes_it_over_when_that_one_dies(
    runs: Path, start: Start
) -> None:
    sweep = confirming.experiment(2, THREE_TWICE.replace("3", "2"))
    url = prepared(runs, sweep).database_url
    settings = reporting.place(url, runs)
    body = Judged(Held(runs, slot=0))
    holder = start(sweep, settings, body)
    until((runs / "held").exists)
    waiting = start(sweep, settings, body)
    until(lambda: status_of(settings).count(COMPLETE) == 1)
    time.sleep(1.5)
    assert waiting.is_alive()
    assert status_of(settings).count(SlotState.RUNNING) == 1
    reporting.kill(holder)
    (runs / "go").touch()
    waiting.join(PATIENCE_SECONDS)
    assert waiting.exitcode == 0
    status = checked(settings, sweep, 4)
    assert len({one.owner for one in status.all}) == 1
    assert [trial.crashes for trial in status.trials] == [0, 0]  # it has reported an epoch since


def test_worker_that_waits_ends_when_it_is_asked_to(runs: Path, start: Start) -> None:
    sweep = confirming.experiment(2, "{trials: 2, seeds: 2}")
    settings = reporting.place(prepared(runs, sweep).database_url, runs)
    holder = start(sweep, settings, Judged(Held(runs, slot=0)))
    until((runs / "held").exists)
    waiting = start(sweep, settings, judged)
    until(lambda: status_of(settings).count(COMPLETE) == 1)
    time.sleep(1)
    reporting.kill(waiting, signal.SIGTERM)
    waiting.join(PATIENCE_SECONDS)
    assert waiting.exitcode == 75
    reporting.kill(holder)


def test_worker_leaves_where_those_who_run_trials_can_confirm_everything(runs: Path, start: Start) -> None:
    sweep = confirming.experiment(2, "{trials: 1, seeds: 1}")
    settings = reporting.place(prepared(runs, sweep).database_url, runs)
    holder = start(sweep, settings, Judged(Held(runs, slot=0)))
    until((runs / "held").exists)
    other = start(sweep, settings, judged)
    other.join(PATIENCE_SECONDS)
    assert other.exitcode == 0
    (runs / "go").touch()
    holder.join(PATIENCE_SECONDS)
    assert checked(settings, sweep, 1).confirmations[0].owner != status_of(settings).trials[1].owner


def stopping(runs: Path, *options: str, confirmation: bool) -> Body:
    """Somebody stops the sweep in the second epoch of the first trial, or of the first confirmation."""
    stopped: list[int] = []

    def at(run: RunningTrial, epoch: int) -> None:
        if epoch == 2 and is_confirmation(run) == confirmation and not stopped:
            stopped.append(run.slot)
            assert main(["stop", "--runs", str(runs), *options]) == 0

    return Judged(at)


def test_stop_before_the_confirmations_cancels_them(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = confirming.experiment(2, THREE_TWICE.replace("3", "2"))
    settings = prepared(runs, sweep)
    work(sweep, settings, stopping(runs, confirmation=False))
    status = checked(settings, sweep, 4)
    assert [trial.state for trial in status.trials] == [COMPLETE, CANCELLED]
    assert {(one.state, one.message) for one in status.confirmations} == {(CANCELLED, "stopped by hand")}
    assert capsys.readouterr().out.startswith("cancelled: 5 not begun, 0 begun\n")
    assert best_trial(sweep, status).number == 0  # the first place of the sweep, unconfirmed


@pytest.mark.parametrize(("options", "complete"), [((), 1), (("--now",), 0)])
def test_stop_during_the_confirmations_keeps_what_is_done(runs: Path, options: tuple[str, ...], complete: int) -> None:
    sweep = confirming.experiment(3, "{trials: 2, seeds: 2}")
    settings = prepared(runs, sweep)
    work(sweep, settings, stopping(runs, *options, confirmation=True))
    status = status_of(settings)
    assert status.count(COMPLETE) == 3
    assert not status.unsettled
    assert [one.state for one in status.confirmations].count(COMPLETE) == complete
    assert [one.state for one in status.confirmations].count(CANCELLED) == 4 - complete
    assert best_trial(sweep, status) == ranking(status.trials)[0]
    assert len(status.confirmed) == complete


def test_hours_of_confirmations_count_and_cancel_the_rest(runs: Path) -> None:
    sweep = confirming.experiment(2, "{trials: 2, seeds: 2}")

    def ended_in_the_second(run: RunningTrial, _epoch: int) -> None:
        if is_confirmation(run) and run.slot == 1:
            raise interrupt.Interrupted

    settings = prepared(runs, sweep)
    with pytest.raises(interrupt.Interrupted):
        work(sweep, settings, Judged(ended_in_the_second))
    used = status_of(settings).usage
    of_trials = sum(used.seconds.values()) / 3600
    assert of_trials < used.hours
    ceiling = confirming.experiment(2, "{trials: 2, seeds: 2}", f"sweep.maxHours={(of_trials + used.hours) / 2!r}")
    work(ceiling, settings, judged)
    status = checked(settings, sweep, 4)
    assert status.count(COMPLETE) == 2
    assert [one.state for one in status.confirmations] == [COMPLETE, COMPLETE, CANCELLED, CANCELLED]  # begun ones end
    assert str(status.confirmations[-1].message).startswith("sweep.maxHours=")


def test_more_trials_later_confirm_what_is_new_among_the_best(runs: Path) -> None:
    sweep = confirming.experiment(4, THREE_TWICE, "sweep.sampler.name=random")
    settings = prepared(runs, sweep)
    extended(settings, sweep)  # as `prepare` that is run again
    assert len(status_of(settings).confirmations) == 6
    work(sweep, settings, judged)
    before = checked(settings, sweep, 6)
    more = confirming.experiment(12, THREE_TWICE, "sweep.sampler.name=random")
    extended(settings, more)
    assert status_of(settings).unsettled == 8 + 6
    work(more, settings, judged)
    after = checked(settings, more, 12)
    assert after.confirmations[:6] == before.confirmations
    newly = set(places(after)[:3]) - set(places(before)[:3])
    assert newly
    assert [one.state for one in after.confirmations[6:]].count(COMPLETE) == 2 * len(newly)
    left = {one.message for one in after.confirmations[6:] if one.state is CANCELLED}
    assert left <= {"the 3 best configurations have their confirmations"}
    assert {one.trial.number for one in after.confirmed} == {*places(before)[:3], *places(after)[:3]}
    assert {len(one.accuracies) for one in after.confirmed} == {2}


def test_confirmations_may_be_asked_for_and_raised_later_and_not_taken_back(runs: Path) -> None:
    settings = prepared(runs, confirming.experiment(4, None))
    work(confirming.experiment(4, None), settings, judged)
    assert not status_of(settings).unsettled
    assert status_of(settings).winner is None
    for confirm, complete, slots in (("{trials: 2, seeds: 1}", 2, 2), (THREE_TWICE, 6, 8)):
        sweep = confirming.experiment(4, confirm)
        extended(settings, sweep)
        work(sweep, settings, judged)
        status = checked(settings, sweep, slots)
        assert [one.state for one in status.confirmations].count(COMPLETE) == complete
    assert [len(one.accuracies) for one in status.confirmed] == [2, 2, 2]


@pytest.mark.parametrize(
    ("confirm", "shown"), [(None, "null"), *((other, other) for other in ("{trials: 2, seeds: 2}", "{trials: 3, seeds: 1}"))]
)  # fmt: skip
def test_fewer_confirmations_are_refused(runs: Path, confirm: str | None, shown: str) -> None:
    settings = prepared(runs, confirming.experiment(3, THREE_TWICE))
    with pytest.raises(ConfigurationError) as raised:
        check_study(confirming.experiment(3, confirm), opened(settings.database_url))
    assert str(raised.value).startswith(f"sweep.confirm={shown}: ")
    assert "the study has {trials: 3, seeds: 2} already; confirmations can be added" in str(raised.value)


def test_confirmations_are_carried_to_another_database_and_go_on_there(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = confirming.experiment(4, THREE_TWICE)
    settings = prepared(runs, sweep)
    file, url = tmp_path / "study", f"sqlite:///{tmp_path}/other.db"

    def at(run: RunningTrial, epoch: int) -> None:
        if is_confirmation(run) and run.slot == 2 and epoch == 2:
            assert main(["export", "--runs", str(runs), "--file", str(file)]) == 0

    work(sweep, settings, Judged(at))
    monkeypatch.setenv("DATABASE_URL", url)
    assert main(["import", str(file)]) == 0
    there = place(url, runs)
    assert [one.state for one in status_of(there).confirmations].count(COMPLETE) == 2
    work(sweep, there, judged)
    assert told(checked(there, sweep, 6)) == told(checked(settings, sweep, 6))


def test_status_shows_trials_and_confirmations(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = confirming.experiment(3, "{trials: 2, seeds: 2}")
    settings = prepared(runs, sweep)
    outputs: list[str] = []

    def at(run: RunningTrial, epoch: int) -> None:
        if is_confirmation(run) and run.slot == 3 and epoch == 2:
            assert main(["status", "--runs", str(runs)]) == 0
            outputs.append(capsys.readouterr().out)

    work(sweep, settings, Judged(at))
    assert "3/3 trials settled, 3 complete, best " in outputs[0]
    assert "3/4 confirmations settled, 1 running, 3 complete, confirmed " in outputs[0]
    assert "confirmation 3" in outputs[0]
    assert main(["status", "--runs", str(runs), "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert (read["trials"], read["settled"], len(read["confirmations"])) == (3, 3, 4)
    assert read["winner"]["trial"] == read["confirmed"][1]["trial"] != read["best"]["number"]
    assert len(read["winner"]["each"]) == 2


def test_study_with_confirmations_goes_through_to_its_report(settings: Settings, root: FolderArtifacts) -> None:
    sweep = tiny("sweep.trials=3", "sweep.epochs=1", "finalTrain.epochs=1", "sweep.confirm={trials: 2, seeds: 2}")
    prepare.run(sweep, settings, root)
    sweep_stage.run(sweep, settings, root)
    status = checked(settings, sweep, 4)
    final_train.run(sweep, settings, root)
    evaluate.run(sweep, settings, root)
    study = root.under("quick")
    winner = status.winner
    assert winner is not None
    assert trained_trial(study, 0) == winner.trial.number
    losses = {json.loads(study.read_text(f"confirm/trials/{number}/epochs.jsonl"))["train_loss"] for number in range(4)}
    assert len(losses) == 4  # each has a seed of its own
    page = study.read_text("evaluation/report.html")
    assert f"trial {winner.trial.number}" in page
    assert "figures/confirmation.svg" in "".join(study.listing("evaluation"))
    assert "It was chosen by confirmation: trained again 2 × with fresh seeds" in study.read_text("model/README.md")
    manifest = read_manifest(study)
    assert {f"confirm/trials/{number}/epochs.jsonl" for number in range(4)} <= manifest.objects.keys()
    assert verify(study, manifest) == []
    prepare.run(sweep, settings, root)  # again: nothing is left to do
    assert study.exists("manifest.json")
