"""A sweep over networks, from the search space to the report."""

import csv
import io
import itertools
import json
import shlex
from pathlib import Path

import pytest
from optuna.trial import TrialState

from jobs.artifacts import Artifacts, FolderArtifacts
from jobs.artifacts.documents import ModelDocument, read_document
from jobs.artifacts.keys import REPORT, TRIAL_TABLE, model_key
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import load_experiment
from jobs.experiment.values import ListValue
from jobs.queue.best_trial import read_best_trial
from jobs.queue.claimed_trial import OVER_BUDGET
from jobs.queue.export_import import export_study, import_study
from jobs.queue.tables import SlotState
from jobs.report.study.reproduction import reproduction
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.settings import Settings, read_settings
from jobs.stages import prepare
from jobs.stages.evaluate import stage as evaluate
from jobs.stages.sweep import stage as sweep
from tests.local.conftest import tiny
from tests.local.test_trials import optuna_trials, status_of
from tests.support.studies import Studies

UNPRUNED = "pruning={}"  # two stages of one block: 3,890 parameters at widths 8 and 16
FITS = ListValue([8, 16])


def networks() -> Experiment:
    """Four networks: two are within the budget, which are trained with both or one learning rate."""
    return tiny(
        UNPRUNED,
        "budget.parameters=12000",
        "searchSpace={model.widths: {choices: [[8, 16], [32, 32]]}, model.depths: {choices: [[1, 1], [2, 1]]}, "
        "lr: {choices: [0.01, 0.1], when: {model.widths: [[8, 16]]}}}",
        "sweep={trials: 6, epochs: 2, sampler: {name: grid}, earlyStopping: {name: none}, "
        "confirm: {trials: 2, seeds: 2}}",
        "finalTrain.epochs=2",
    )


def test_networks_are_searched_through_to_the_report(
    settings: Settings, root: FolderArtifacts, studies: Studies
) -> None:
    experiment = networks()
    study = studies.copy(experiment, after=evaluate, to=root)
    trials = status_of(experiment, settings).trials
    assert [trial.parameters for trial in trials] == experiment.fixed_parameters()
    for trial in trials:
        fits = trial.parameters["model.widths"] == FITS
        assert trial.state is (SlotState.COMPLETE if fits else SlotState.INFEASIBLE)
        assert fits or "too many" in (trial.message or "")
    best = read_best_trial(experiment, settings, root.under("quick"))
    confirmations = status_of(experiment, settings).confirmations
    assert [one.state for one in confirmations] == [SlotState.COMPLETE] * 4
    assert best.parameters in [one.parameters for one in confirmations]
    assert {one.parameters["model.widths"] for one in confirmations} == {FITS}
    document = read_document(study, model_key(0), ModelDocument)
    assert document.trial.parameters == best.parameters
    assert tuple(len(stage) for stage in document.network.stages) == best.parameters["model.depths"]
    assert [stage[0].outer for stage in document.network.stages] == [8, 16]
    assert json.loads(study.read_text(model_key(0)))["trial"]["parameters"]["model.widths"] == [8, 16]

    rows = list(csv.DictReader(io.StringIO(study.read_text(TRIAL_TABLE))))
    assert {row["model.depths"] for row in rows} == {"[1, 1]", "[2, 1]"}
    over = [row for row in rows if row["state"] == "infeasible"]
    assert len(over) == 2
    assert all(int(row["parameters"]) > 12_000 and int(row["macs"]) > 0 for row in over)
    assert all(int(row["over budget"]) == int(row["parameters"]) - 12_000 for row in over)
    front = list(csv.DictReader(io.StringIO(study.read_text("evaluation/figures/pareto-front.csv"))))
    assert {row["parameters"] for row in front} == {row["parameters"] for row in rows} - {r["parameters"] for r in over}
    page = study.read_text(REPORT)
    assert "pareto-front" in page
    assert "too many" in page


def test_printed_command_runs_the_same_experiment(tmp_path: Path) -> None:
    for experiment in (networks(), tiny("searchSpace.model.widths={choices: [[8, 16], [4, 8]]}", UNPRUNED)):
        printed = reproduction(experiment)
        if printed.needs_file:
            (tmp_path / "quick.yaml").write_text(printed.yaml)
            assert load_experiment(None, tmp_path / "quick.yaml", []) == experiment
            continue
        words = shlex.split(printed.command)
        overrides = [word for before, word in itertools.pairwise(words) if before == "--set"]
        assert load_experiment(words[words.index("--preset") + 1], None, overrides) == experiment


def test_searched_networks_are_copied_to_another_database(
    settings: Settings, root: FolderArtifacts, studies: Studies, tmp_path: Path
) -> None:
    experiment = networks()
    studies.copy(experiment, after=sweep, to=root)
    export_study(settings.database_url, "quick", tmp_path / "exported.db")
    other = read_settings(database_url=f"sqlite:///{tmp_path}/other.db", artifacts_url=str(tmp_path))
    import_study(tmp_path / "exported.db", other.database_url)
    assert status_of(experiment, other).trials == status_of(experiment, settings).trials


def test_optuna_stores_lists_as_text(settings: Settings, root: FolderArtifacts, studies: Studies) -> None:
    experiment = networks()
    studies.copy(experiment, after=sweep, to=root)
    trials = optuna_trials(experiment, settings)
    assert {trial.params["model.widths"] for trial in trials} == {"[8, 16]", "[32, 32]"}
    over = [trial for trial in trials if trial.state is TrialState.PRUNED]
    assert [trial.params["model.widths"] for trial in over] == ["[32, 32]"] * 2
    assert all(trial.constraints[OVER_BUDGET] == trial.user_attrs["parameters"] - 12_000 for trial in over)


@pytest.mark.parametrize(
    "sweep_of",
    [
        "searchSpace={model.widths: {choices: [[8, 16], [32, 32]]}}",
        "searchSpace={model.widths: {choices: [[8, 16], [32, 32]]}, lr: {low: 0.1, high: 0.2}}",
    ],
)
def test_small_search_without_a_network_within_the_budget_is_refused(
    settings: Settings, root: Artifacts, sweep_of: str
) -> None:
    message = r"^budget.parameters=100: the smallest network of the search has [\d,]+ parameters$"
    with pytest.raises(ConfigurationError, match=message):
        prepare.run(tiny(UNPRUNED, "budget.parameters=100", sweep_of), settings, root)
    assert not root.exists("quick/experiment.yaml")


def test_list_without_a_network_within_the_budget_is_refused(settings: Settings, root: Artifacts) -> None:
    experiment = tiny(
        UNPRUNED,
        "budget.parameters=100",
        "searchSpace={lr: null, optimizer: null, batchSize: null, dropout: null}",
        "sweep={trials: 2, epochs: 1, sampler: {name: manual}, configurations: [{model.depths: [1], model.strides: [2]}, {model.depths: [1, 1, 1], model.strides: [1, 2, 2]}]}",
    )
    with pytest.raises(ConfigurationError, match=r"^budget.parameters=100: the smallest network of the search has"):
        prepare.run(experiment, settings, root)


def test_target_that_a_trial_cannot_reach_makes_it_infeasible(settings: Settings, root: Artifacts) -> None:
    """Each end alone reaches the target, both together do not."""
    experiment = tiny(
        "pruning={method: target, target: 1300}",
        "searchSpace={model.depths.0: {choices: [1, 10]}, pruning.roundTo: {choices: [1, 4]}}",
        "sweep={trials: 4, epochs: 1, sampler: {name: grid}, earlyStopping: {name: none}}",
    )
    for stage in (prepare, sweep):
        stage.run(experiment, settings, root)
    *fit, deep = status_of(experiment, settings).trials
    assert {trial.state for trial in fit} == {SlotState.COMPLETE}
    assert deep.state is SlotState.INFEASIBLE
    assert (deep.message or "").startswith("pruning.target=1,300: at least ")
    assert optuna_trials(experiment, settings)[deep.number or 0].constraints[OVER_BUDGET] > 0
