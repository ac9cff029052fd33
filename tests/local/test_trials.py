import time
from collections.abc import Callable
from functools import partial
from types import ModuleType

import optuna
import pytest
import sqlalchemy as sa
import torch
from optuna.trial import TrialState

from jobs.artifacts import Artifacts, FolderArtifacts
from jobs.artifacts.dataset_images import load_training_data
from jobs.artifacts.dataset_record import read_dataset
from jobs.experiment.experiment import Experiment
from jobs.queue import claims
from jobs.queue.claim import Claim, LeaseLost
from jobs.queue.compatibility import NotPrepared
from jobs.queue.connections import connect
from jobs.queue.optuna_internals import trial_id
from jobs.queue.outcomes import Outcome
from jobs.queue.status import SweepStatus
from jobs.queue.status_reader import read_trials, sweep_status
from jobs.queue.study import load_study
from jobs.queue.tables import SlotState, ledger, slots
from jobs.runtime import interrupt
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.settings import Settings
from jobs.stages import prepare
from jobs.stages.evaluate import stage as evaluate
from jobs.stages.final_train import stage as final_train
from jobs.stages.sweep import stage as sweep
from jobs.stages.sweep.running_trial import RunningTrial
from jobs.stages.sweep.train_trial import train_trial
from jobs.stages.sweep.worker import Worker
from resnet_core.epoch import EpochResult
from tests.local.conftest import tiny
from tests.support.databases import commit, opened

Body = Callable[[RunningTrial], None]


def training(experiment: Experiment, root: Artifacts) -> Body:
    dataset = read_dataset(root, experiment.study_name)
    data = load_training_data(root, experiment, dataset, torch.device("cpu"))
    return partial(train_trial, experiment=experiment, dataset=dataset, data=data)


def run_trial(experiment: Experiment, settings: Settings, root: Artifacts, body: Body) -> None:
    """One worker that claims a slot and runs it."""
    worker = Worker(experiment, settings, root.under(experiment.study_name))
    worker.run(claim(settings, worker.owner), time.monotonic(), body)


def claim(settings: Settings, owner: str = "a", lease: float = 60) -> Claim:
    held = opened(settings.database_url).write(lambda connection: claims.claim(connection, "quick", owner, lease))
    assert held is not None
    return held


def status_of(experiment: Experiment, settings: Settings) -> SweepStatus:
    return sweep_status(opened(settings.database_url), experiment.study_name)


def optuna_trials(experiment: Experiment, settings: Settings) -> list[optuna.trial.FrozenTrial]:
    return read_trials(opened(settings.database_url), experiment.study_name)


def test_sweep_settles_every_slot_once_with_one_trial_each(settings: Settings, root: Artifacts) -> None:
    experiment = tiny()
    prepare.run(experiment, settings, root)
    sweep.run(experiment, settings, root)
    status = status_of(experiment, settings)
    assert [trial.state for trial in status.trials] == [SlotState.COMPLETE] * 4
    trials = optuna_trials(experiment, settings)
    assert len(trials) == 4
    assert sorted(trial.number for trial in status.trials if trial.number is not None) == [0, 1, 2, 3]
    for trial in trials:
        assert sorted(trial.intermediate_values) == [1, 2, 3]
        assert trial.value == trial.intermediate_values[3]
        assert trial.user_attrs["parameters"] < 10_000
    best = status.best
    assert best is not None
    kept, *others = sorted(root.under("quick").listing("trials"), key=lambda key: key.endswith("epochs.jsonl"))
    assert kept == f"trials/{best.number}/checkpoint-1-{best.owner}.pt"
    assert others == [f"trials/{number}/epochs.jsonl" for number in range(4)]


def test_sweep_run_again_changes_nothing(settings: Settings, root: Artifacts) -> None:
    experiment = tiny("sweep.trials=2", "sweep.epochs=1")
    for _ in range(2):
        prepare.run(experiment, settings, root)
        sweep.run(experiment, settings, root)
    assert len(optuna_trials(experiment, settings)) == 2


def test_results_follow_the_seed_and_not_the_worker(
    settings: Settings, root: Artifacts, tmp_path_factory: pytest.TempPathFactory
) -> None:
    experiment = tiny("sweep.trials=2")
    values = []
    for _ in range(2):
        folder = tmp_path_factory.mktemp("again")
        place = settings.model_copy(update={"database_url": f"sqlite:///{folder}/study.db"})
        prepare.run(experiment, place, FolderArtifacts(folder))
        sweep.run(experiment, place, FolderArtifacts(folder))
        values.append([(trial.params, trial.intermediate_values) for trial in optuna_trials(experiment, place)])
    assert values[0] == values[1]


def test_grid_runs_exactly_its_points(settings: Settings, root: Artifacts) -> None:
    experiment = tiny(
        "sweep={trials: 4, epochs: 1, sampler: {name: grid}}",
        "searchSpace={optimizer: {choices: [sgd, adam]}, dropout: {low: 0, high: 0.2, step: 0.2}}",
    )
    prepare.run(experiment, settings, root)
    sweep.run(experiment, settings, root)
    points = [trial.params for trial in optuna_trials(experiment, settings)]
    assert points == [
        {"optimizer": optimizer, "dropout": dropout} for optimizer in ("sgd", "adam") for dropout in (0.0, 0.2)
    ]


@pytest.mark.parametrize("stage", [sweep, final_train, evaluate])
def test_study_of_another_experiment_is_left_alone(settings: Settings, root: Artifacts, stage: ModuleType) -> None:
    prepare.run(tiny(), settings, root)
    with pytest.raises(ConfigurationError, match=r"^training.lr=0.5: study quick in .*, where it is 0.1; choose"):
        stage.run(tiny("training.lr=0.5", "sweep.trials=2"), settings, root)
    with pytest.raises(NotPrepared, match=r"^study other: not in .*; `resnet-sweep prepare` makes it$"):
        stage.run(tiny("study.name=other"), settings, root)


@pytest.mark.parametrize("sampler", ["random", "gp", "cmaes"])
def test_every_sampler_finishes_a_sweep(settings: Settings, root: Artifacts, sampler: str) -> None:
    experiment = tiny(f"sweep={{trials: 4, epochs: 1, sampler: {{name: {sampler}, startupTrials: 2}}}}")
    prepare.run(experiment, settings, root)
    sweep.run(experiment, settings, root)
    assert status_of(experiment, settings).count(SlotState.COMPLETE) == 4


@pytest.mark.parametrize("stopping", ["halving", "hyperband", "median"])
def test_early_stopping_ends_trials_that_fall_behind(settings: Settings, root: Artifacts, stopping: str) -> None:
    experiment = tiny(
        f"sweep={{trials: 9, epochs: 4, sampler: {{name: random}}, earlyStopping: {{name: {stopping}, minEpochs: 2, startupTrials: 2}}}}",
        "searchSpace={lr: {choices: [0.000001, 0.01]}}",
        "training={optimizer: adamw, batchSize: 16}",
    )
    prepare.run(experiment, settings, root)
    sweep.run(experiment, settings, root)
    status = status_of(experiment, settings)
    assert status.count(SlotState.STOPPED_EARLY) > 0
    assert status.settled == 9
    for trial in status.trials:
        if trial.state is SlotState.STOPPED_EARLY:
            assert trial.message == f"after epoch {trial.epoch}"
            assert trial.epoch < 4


def test_network_over_budget_is_infeasible_before_it_is_trained(settings: Settings, root: Artifacts) -> None:
    experiment = tiny(
        "pruning={method: target, target: 3000, amounts: null}",
        "budget.parameters=4000",
        "sweep={trials: 2, epochs: 1, sampler: {name: grid}}",
        "searchSpace={pruning.target: {choices: [3000, 4500]}}",
    )
    prepare.run(experiment, settings, root)
    sweep.run(experiment, settings, root)
    fits, exceeds = status_of(experiment, settings).trials
    assert fits.state is SlotState.COMPLETE
    assert exceeds.state is SlotState.INFEASIBLE
    assert exceeds.epoch == 0
    assert exceeds.message is not None
    assert "budget.parameters=4,000: the network has 4," in exceeds.message
    trial = optuna_trials(experiment, settings)[1]
    assert trial.state is TrialState.PRUNED
    assert next(iter(trial.constraints.values())) > 0


def test_diverged_trial_is_settled_and_the_sweep_goes_on(settings: Settings, root: Artifacts) -> None:
    experiment = tiny(
        "sweep={trials: 2, epochs: 1, sampler: {name: grid}}",
        "searchSpace={lr: {choices: [1.0e+30, 0.01]}}",
    )
    prepare.run(experiment, settings, root)
    sweep.run(experiment, settings, root)
    diverged, complete = status_of(experiment, settings).trials
    assert diverged.state is SlotState.DIVERGED
    assert complete.state is SlotState.COMPLETE


def test_trial_that_always_raises_is_tried_three_times_and_settled_as_failed(
    settings: Settings, root: Artifacts
) -> None:
    experiment = tiny("sweep.trials=1")
    prepare.run(experiment, settings, root)
    tries = 0

    def fails(_run: RunningTrial) -> None:
        nonlocal tries
        tries += 1
        raise RuntimeError(f"try {tries}")

    Worker(experiment, settings, root.under("quick")).work(fails)
    (trial,) = status_of(experiment, settings).trials
    assert trial.state is SlotState.FAILED
    assert trial.message == "RuntimeError: try 3"
    assert trial.traceback is not None
    assert trial.traceback.startswith("Traceback (most recent call last)")
    assert (tries, trial.attempts) == (3, 2)  # the third settled it


def test_message_that_no_database_takes_is_kept_all_the_same(settings: Settings, root: Artifacts) -> None:
    experiment = tiny("sweep.trials=1")
    prepare.run(experiment, settings, root)

    def fails(_run: RunningTrial) -> None:
        raise FileNotFoundError("caf\udce9\0.png\nnot there")

    Worker(experiment, settings, root.under("quick")).work(fails)
    (trial,) = status_of(experiment, settings).trials
    assert trial.state is SlotState.FAILED
    assert trial.message == "FileNotFoundError: caf\\udce9\\x00.png\nnot there"


def test_trial_that_kills_its_process_is_settled_as_crashed(settings: Settings, root: Artifacts) -> None:
    experiment = tiny("sweep.trials=1")
    prepare.run(experiment, settings, root)
    first = Worker(experiment, settings, root.under("quick"))
    with pytest.raises(interrupt.Interrupted):
        first.run(claim(settings, first.owner), time.monotonic(), _is_interrupted)
    for owner in "abc":
        claim(settings, owner, lease=-1)
    sweep.run(experiment, settings, root)
    (trial,) = status_of(experiment, settings).trials
    assert trial.state is SlotState.CRASHED
    assert trial.message == "3 processes ended without a word while they ran it"
    assert [trial.state for trial in optuna_trials(experiment, settings)] == [TrialState.FAIL]


def test_interrupted_trial_goes_on_with_the_same_number_and_ends_the_same(
    settings: Settings, root: Artifacts, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny("sweep.trials=1")
    folder = tmp_path_factory.mktemp("whole")
    place = settings.model_copy(update={"database_url": f"sqlite:///{folder}/study.db"})
    prepare.run(experiment, place, FolderArtifacts(folder))
    sweep.run(experiment, place, FolderArtifacts(folder))
    whole = optuna_trials(experiment, place)[0]

    prepare.run(experiment, settings, root)
    body = training(experiment, root)
    steps = iter(range(100))

    def stop_in_the_second_epoch() -> None:
        if next(steps) == 9:  # of 6 steps an epoch
            raise interrupt.Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(interrupt, "check", stop_in_the_second_epoch)
        with pytest.raises(interrupt.Interrupted):
            run_trial(experiment, settings, root, body)
    half = optuna_trials(experiment, settings)[0]
    assert sorted(half.intermediate_values) == [1]
    assert half.state is TrialState.RUNNING
    assert status_of(experiment, settings).trials[0].state is SlotState.WAITING

    sweep.run(experiment, settings, root)
    (resumed,) = optuna_trials(experiment, settings)
    assert resumed.number == half.number
    assert resumed.params == half.params == whole.params
    assert resumed.intermediate_values == whole.intermediate_values
    assert resumed.value == whole.value


def test_trial_with_all_epochs_done_is_settled_without_training(settings: Settings, root: Artifacts) -> None:
    experiment = tiny("sweep.trials=1")
    prepare.run(experiment, settings, root)
    body = training(experiment, root)

    def is_interrupted_at_the_end(run: RunningTrial) -> None:
        body(run)
        raise interrupt.Interrupted

    with pytest.raises(interrupt.Interrupted):
        run_trial(experiment, settings, root, is_interrupted_at_the_end)
    before = optuna_trials(experiment, settings)[0]
    assert before.state is TrialState.RUNNING
    assert sorted(before.intermediate_values) == [1, 2, 3]
    run_trial(experiment, settings, root, body)
    after = optuna_trials(experiment, settings)[0]
    assert after.state is TrialState.COMPLETE
    assert after.value == before.intermediate_values[3]
    assert status_of(experiment, settings).trials[0].state is SlotState.COMPLETE
    written = root.under("quick").listing("trials")
    assert [key.partition("-")[0] for key in written] == ["trials/0/checkpoint", "trials/0/epochs.jsonl"]
    assert written[0].startswith("trials/0/checkpoint-1-")  # none by the second owner


def _is_interrupted(_run: RunningTrial) -> None:
    raise interrupt.Interrupted


def test_former_owner_can_neither_report_nor_tell(settings: Settings, root: Artifacts) -> None:
    experiment = tiny("sweep.trials=1")
    prepare.run(experiment, settings, root)
    storage = opened(settings.database_url).storage
    with storage.under(claim(settings, lease=-1), Outcome(SlotState.COMPLETE)):
        study = load_study(experiment, storage, 0)
        trial = study.ask()
        trial.report(0.5, 1)
        taken = claim(settings, "b")
        assert taken.trial_id == trial_id(trial)
        with pytest.raises(LeaseLost):
            trial.report(0.9, 2)
        with pytest.raises(LeaseLost):
            study.tell(trial, 0.9)
        with pytest.raises(LeaseLost):
            trial.set_user_attr("late", 1)
    (seen,) = optuna_trials(experiment, settings)
    assert seen.state is TrialState.RUNNING
    assert seen.intermediate_values == {1: 0.5}
    assert seen.user_attrs == {}
    assert status_of(experiment, settings).trials[0].state is SlotState.RUNNING


def test_trial_and_slot_are_settled_in_one_transaction(settings: Settings, root: Artifacts) -> None:
    experiment = tiny("sweep.trials=1")
    prepare.run(experiment, settings, root)
    storage = opened(settings.database_url).storage
    with storage.under(claim(settings), Outcome(SlotState.COMPLETE)):
        study = load_study(experiment, storage, 0)
        trial = study.ask()
        with sa.create_engine(settings.database_url).begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {ledger.name} RENAME TO away")
        with pytest.raises(optuna.exceptions.StorageInternalError):
            study.tell(trial, 0.9)
        assert optuna_trials(experiment, settings)[0].state is TrialState.RUNNING
        with sa.create_engine(settings.database_url).begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE away RENAME TO {ledger.name}")
        study.tell(trial, 0.9)
    assert optuna_trials(experiment, settings)[0].state is TrialState.COMPLETE
    assert status_of(experiment, settings).trials[0].state is SlotState.COMPLETE


def test_stop_decision_of_the_former_owner_is_obeyed(settings: Settings, root: Artifacts) -> None:
    experiment = tiny("sweep={trials: 1, epochs: 3, earlyStopping: {name: median}}")
    prepare.run(experiment, settings, root)
    former = claim(settings, lease=-1)
    commit(connect(settings.database_url), claims.decide_stop, former, 1, stops=True)
    run_trial(experiment, settings, root, training(experiment, root))
    (trial,) = status_of(experiment, settings).trials
    assert (trial.state, trial.epoch) == (SlotState.STOPPED_EARLY, 1)


def test_epochs_that_are_trained_anew_are_not_decided_anew(settings: Settings, root: Artifacts) -> None:
    """Their owner has reported more than its last checkpoint holds, here none, and went on after each."""
    experiment = tiny("sweep={trials: 1, epochs: 4, earlyStopping: {name: median}}")
    settings = settings.model_copy(update={"checkpoint_seconds": 3600})
    prepare.run(experiment, settings, root)
    body, database, decided = training(experiment, root), opened(settings.database_url), list[int]()
    of_trial = sa.select(slots.c.decided_epoch).where(slots.c.study == "quick")

    def noted(run: RunningTrial) -> None:
        finish = run.finish_epoch

        def finish_epoch(epoch: EpochResult) -> None:
            finish(epoch)
            decided.append(database.read(lambda connection: connection.scalar(of_trial)))
            if len(decided) == 2:
                raise interrupt.Interrupted

        run.finish_epoch = finish_epoch  # type: ignore[method-assign]
        body(run)

    with pytest.raises(interrupt.Interrupted):
        run_trial(experiment, settings, root, noted)
    run_trial(experiment, settings, root, noted)
    assert decided == [1, 2, 2, 2, 3, 3]
    assert status_of(experiment, settings).trials[0].state is SlotState.COMPLETE
    database.close()
