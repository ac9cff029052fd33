"""Sweeps of more than one kind: two objectives, searched pruning, conditions, lists."""

import pytest
from optuna.trial import TrialState

from jobs.artifacts import Artifacts
from jobs.queue.tables import SlotState
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.settings import Settings
from jobs.stages import prepare
from jobs.stages.evaluate import stage as evaluate
from jobs.stages.final_train import stage as final_train
from jobs.stages.sweep import stage as sweep
from tests.local.conftest import tiny
from tests.local.test_trials import optuna_trials, run_trial, status_of, training

TWO = (
    "sweep={trials: 6, epochs: 1, earlyStopping: {name: none}, objectives: [accuracy, %s], sampler: {startupTrials: 2}}"
)
AMOUNTS = "searchSpace={pruning.amounts: {low: 0.0, high: 0.9}, lr: {low: 0.001, high: 0.1, log: true}}"


@pytest.mark.parametrize("second", ["parameters", "macs"])
def test_two_objectives_are_told_and_the_most_accurate_is_trained(
    settings: Settings, root: Artifacts, second: str
) -> None:
    experiment = tiny(TWO % second, AMOUNTS, "budget.parameters=2700", "finalTrain.epochs=1")
    for stage in (prepare, sweep, final_train, evaluate):
        stage.run(experiment, settings, root)
    trials, status = optuna_trials(experiment, settings), status_of(experiment, settings)
    assert status.unsettled == 0
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    for trial in complete:
        assert trial.values == [trial.intermediate_values[1], trial.user_attrs[second]]
    assert len({trial.values[1] for trial in complete}) > 1
    assert all(trial.user_attrs["parameters"] <= 2700 for trial in complete)
    assert status.best is not None
    assert status.best.accuracy == max(trial.values[0] for trial in complete)
    assert root.under("quick").exists("manifest.json")


def test_diverged_trial_stops_no_sampler_of_two_objectives(settings: Settings, root: Artifacts) -> None:
    experiment = tiny(TWO % "macs", "searchSpace={lr: {choices: [0.01, 1.0e+30]}}")
    for stage in (prepare, sweep):
        stage.run(experiment, settings, root)
    status = status_of(experiment, settings)
    assert {trial.state for trial in status.trials} == {SlotState.COMPLETE, SlotState.DIVERGED}


def test_conditions_hold_in_a_sweep(settings: Settings, root: Artifacts) -> None:
    experiment = tiny(
        "searchSpace={momentum: {low: 0.5, high: 0.9, when: {optimizer: [sgd]}}, optimizer: {choices: [sgd, adamw]}}",
        "sweep={trials: 6, epochs: 1, sampler: {startupTrials: 6}}",
    )
    for stage in (prepare, sweep):
        stage.run(experiment, settings, root)
    parameters = [trial.params for trial in optuna_trials(experiment, settings)]
    assert {p["optimizer"] for p in parameters} == {"sgd", "adamw"}
    assert all(("momentum" in p) == (p["optimizer"] == "sgd") for p in parameters)


def test_listed_configurations_are_the_trials(settings: Settings, root: Artifacts) -> None:
    listed = "[{lr: 0.1}, {optimizer: adamw, lr: 1e-3}, {}]"
    experiment = tiny(
        "searchSpace={lr: null, optimizer: null, batchSize: null, dropout: null}",
        f"sweep={{trials: 3, epochs: 1, sampler: {{name: manual}}, configurations: {listed}, earlyStopping: {{name: none}}}}",
    )
    prepare.run(experiment, settings, root)
    body = training(experiment, root)
    for _ in range(3):
        run_trial(experiment, settings, root, body)
    trials = status_of(experiment, settings).trials
    assert [trial.parameters for trial in trials] == [{"lr": 0.1}, {"optimizer": "adamw", "lr": 0.001}, {}]
    assert [trial.state for trial in trials] == [SlotState.COMPLETE] * 3


def test_target_out_of_reach_is_refused_before_anything_is_written(settings: Settings, root: Artifacts) -> None:
    experiment = tiny(
        "pruning={method: target, target: 2000, amounts: null}",
        "searchSpace={pruning.target: {low: 10, high: 2000}}",
    )
    with pytest.raises(ConfigurationError, match=r"^searchSpace\.pruning\.target=10\.0: pruning\.target=10: at least"):
        prepare.run(experiment, settings, root)
    assert root.listing() == []
