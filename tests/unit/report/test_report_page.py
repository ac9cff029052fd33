"""Reports of studies of every kind; what a browser makes of them is the matter of tests/browser."""

import csv
import json
import random
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import TrialState

from jobs.experiment.load import load_experiment
from jobs.queue.tables import SlotState
from jobs.report.study.cost import sweep_cost
from jobs.report.study.importance import parameter_importances
from jobs.report.study.published import beside_published
from jobs.report.study.report_page import write_report
from jobs.report.study.reproduction import reproduction
from jobs.report.study.shown_trials import shown_trials
from jobs.report.study.trial_table import trial_table
from jobs.report.study_results import StudyResults
from resnet_core.shown_accuracy import percent
from tests.support.invented import COMPLETE, STOPPED_EARLY, Ran, experiment, store, study_results

LR = "{low: 0.001, high: 0.3, log: true}"
CONDITIONAL = f"searchSpace={{optimizer: {{choices: [sgd, adamw]}}, lr: {LR}, dropout: {{low: 0, high: 0.5}}, "
CONDITIONAL += "momentum: {low: 0.5, high: 0.99, when: {optimizer: [sgd]}}}"
NONE = "searchSpace={batchSize: null, dropout: null, lr: null, optimizer: null}"
SCHEDULES = [
    "searchSpace={schedule.name: {choices: [cosine, linear, step]}}",
    "sweep.sampler.name=grid",
    "sweep.trials=3",
    "study.published=[{what: ours before, accuracy: 0.9134, where: {schedule.name: cosine}}, "
    "{what: the network, accuracy: 0.9382, parameters: 4493525, where: {}}]",
    "study.deviations=[The images are a JPEG re-encoding.]",
]
BY_SCHEDULE = [
    Ran(accuracies=(0.3, 0.5 + n / 10), parameters={"schedule.name": name})
    for n, name in enumerate(("cosine", "linear", "step"))
]
ALL_STATES = [
    *(Ran(accuracies=(0.2, 0.4 + n / 50)) for n in range(6)),
    Ran(STOPPED_EARLY, (0.3,)),
    Ran(SlotState.INFEASIBLE, ()),
    Ran(SlotState.DIVERGED, (0.1,)),
    Ran(SlotState.FAILED, ()),
    Ran(SlotState.CRASHED, ()),
    Ran(SlotState.CANCELLED, (), began=False),
]


def written(tmp_path: Path, study: StudyResults) -> tuple[str, str, Path]:
    """Page, summary and folder."""
    artifacts = store(tmp_path, study)
    write_report(artifacts, study)
    folder = artifacts.path("evaluation")
    return (folder / "report.html").read_text(), (folder / "summary.md").read_text(), folder


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def figures(folder: Path) -> set[str]:
    return {file.stem for file in (folder / "figures").glob("*.svg")}


def test_trials_of_every_state_are_in_the_table_and_in_the_csv(tmp_path: Path) -> None:
    page, summary, folder = written(tmp_path, study_results(experiment(CONDITIONAL, "sweep.trials=12"), ALL_STATES))
    rows = rows_of(folder / "trials.csv")
    assert [row["state"] for row in rows] == [str(ran.state) for ran in ALL_STATES]
    assert list(rows[0]) == [
        *("trial", "state", "accuracy (%)", "epochs", "seconds", "parameters", "macs"),
        *("optimizer", "lr", "dropout", "momentum"),
    ]
    assert {row["momentum"] == "" for row in rows if row["optimizer"] == "adamw"} == {True}
    assert page.count("because it is") == 6
    assert "Importances take 10 complete trials" in page
    assert "there are 6 complete ones here" in page
    assert "of 6 complete trials, 12 in all" in summary
    assert {"history", "parallel-coordinates", "contour", "contour-2"} <= figures(folder)
    assert "contour-3" not in figures(folder)  # with it, half a row would be empty


def test_importances_have_intervals_and_say_how_many_trials_they_are_from(tmp_path: Path) -> None:
    ran = [*ALL_STATES[:6] * 2, *ALL_STATES[6:]]
    page, _, folder = written(tmp_path, study_results(experiment(CONDITIONAL, "sweep.trials=18"), ran))
    assert "between the 12 complete trials" in page
    assert "Without momentum, which not every complete trial has." in page
    for row in rows_of(folder / "figures/importances.csv"):
        assert float(row["low"]) < float(row["high"])


def test_words_that_the_page_uses_are_explained(tmp_path: Path) -> None:
    pages = [
        written(tmp_path, study_results(experiment(f"sweep.trials={len(ran)}"), ran))[0]
        for ran in (ALL_STATES, [Ran()])
    ]
    words = [set(re.findall("<dt>(.*?)</dt>", page.split('id="words"')[1])) for page in pages]
    assert {"Trial", "Validation accuracy", "Test accuracy", "95 % interval", "Seed"} <= words[0] & words[1]
    assert words[0] - words[1] == {"Stopped early"}


def test_one_trial_is_enough_for_a_report(tmp_path: Path) -> None:
    page, _, folder = written(tmp_path, study_results(experiment("sweep.trials=1"), [Ran()]))
    assert "The only trial gives a network" in page
    assert "Importances take 10 complete trials" in page
    assert not figures(folder) & {"importances", "parallel-coordinates", "contour"}


def test_trials_without_variation_have_no_importances(tmp_path: Path) -> None:
    ran = [Ran(accuracies=(0.5,), parameters={"lr": 0.1, "optimizer": "sgd", "batchSize": 32, "dropout": 0.1})] * 3
    page, _, folder = written(tmp_path, study_results(experiment("sweep.trials=3"), ran))
    assert "there are 3 complete ones here" in page
    assert not figures(folder) & {"importances", "parallel-coordinates", "contour"}


def test_nothing_searched_is_said(tmp_path: Path) -> None:
    page, summary, _ = written(tmp_path, study_results(experiment(NONE, "sweep.trials=1"), [Ran(parameters={})]))
    assert "The given configuration (nothing was searched) gives a network" in page
    assert "Nothing was searched: every value is fixed in the experiment." in summary


def test_seeds_have_their_mean_and_interval(tmp_path: Path) -> None:
    study = study_results(experiment("sweep.trials=1", "finalTrain.seeds=3"), [Ran()], seeds=3)
    page, summary, _ = written(tmp_path, study)
    mean = study.metrics.accuracy
    for text in (page, summary):
        assert f"<h1>{100 * mean.mean:.1f} %" in page
        assert f"{100 * mean.low:.1f} % – {100 * mean.high:.1f} %" in text.replace("\n", " ")
        assert "differ in their seed alone" in text
    assert summary.count("| 0 (kept) |") == 1


def test_single_seed_has_the_interval_of_the_test_images(tmp_path: Path) -> None:
    study = study_results(experiment("sweep.trials=1"), [Ran()])
    low, high = study.metrics.test.accuracy_interval
    _, summary, _ = written(tmp_path, study)
    assert f"{100 * low:.1f} % – {100 * high:.1f} %, 95 % from the number of test images" in summary


def test_training_without_validation_images_is_reported(tmp_path: Path) -> None:
    merged = experiment("sweep.trials=1", "finalTrain.data=train+validation", "finalTrain.seeds=2")
    page, _, folder = written(tmp_path, study_results(merged, [Ran()], seeds=2))
    assert "no validation images were left" in page
    assert list(rows_of(folder / "figures/training-accuracy.csv")[0]) == ["seed", "epoch", "training accuracy (%)"]


def test_published_values_stand_beside_ours_and_never_as_ours(tmp_path: Path) -> None:
    study = study_results(experiment(*SCHEDULES), BY_SCHEDULE)
    by_trial, by_network = beside_published(study)
    assert (by_trial.ours, by_trial.kind) == (0.5, "validation, trial 0")
    assert (by_network.ours, by_network.kind) == (study.metrics.accuracy.mean, "test")
    page, summary, folder = written(tmp_path, study)
    for text in (page, summary):
        assert "91.34 %" in text
        assert "invented digits" in text
        assert "The images are a JPEG re-encoding." in text
    assert {"accuracy-by-choice", "curves-by-choice"} <= figures(folder)
    curves = rows_of(folder / "figures/curves-by-choice.csv")
    assert len(curves) == 6
    header = (folder / "figures/learning-rate.csv").read_text().splitlines()[0]
    assert header == "epoch,cosine,linear,step"


def test_two_objectives_have_their_front(tmp_path: Path) -> None:
    two = experiment("sweep.objectives=[accuracy, parameters]", "sweep.earlyStopping.name=none", "sweep.trials=5")
    ran = [Ran(accuracies=(0.5 + n / 20,), attributes={"parameters": 10_000 * (n + 1), "macs": 1}) for n in range(5)]
    _, _, folder = written(tmp_path, study_results(two, ran))
    rows = rows_of(folder / "figures/pareto-front.csv")
    assert [row["on the front of parameters"] for row in rows] == ["yes"] * 5
    assert "on the front of macs" not in rows[0]  # they do not differ


def test_networks_that_differ_are_shown_by_their_sizes_with_one_objective_too(tmp_path: Path) -> None:
    searched = experiment(
        "pruning={}",
        "searchSpace={model.widths: {choices: [[8, 16, 32], [16, 16, 16], [64, 64, 64]]}, model.depths.2: {low: 1, high: 3}}",
    )
    sizes = [{"parameters": 10_000 * (n % 4 + 1), "macs": 1_000_000 * (5 - n % 4)} for n in range(8)]
    ran = [Ran(accuracies=(0.5 + n / 20,), attributes=sizes[n]) for n in range(8)]
    ran.append(Ran(SlotState.INFEASIBLE, (), excess=39_000, attributes={"parameters": 99_000, "macs": 90_000_000}))
    page, _, folder = written(tmp_path, study_results(searched, ran))
    rows = rows_of(folder / "figures/pareto-front.csv")
    assert [row["trial"] for row in rows] == [str(n) for n in range(8)]
    assert [row["on the front of macs"] for row in rows] == ["no"] * 7 + ["yes"]
    assert "parallel-coordinates" in figures(folder)
    trials = rows_of(folder / "trials.csv")
    assert (trials[8]["parameters"], trials[8]["over budget"]) == ("99000", "39000")
    assert trials[0]["over budget"] == ""
    assert {row["model.widths"] for row in trials} <= {"[8, 16, 32]", "[16, 16, 16]", "[64, 64, 64]"}
    assert "[16, 16, 16]" in page


def test_networks_that_are_alike_have_no_front(tmp_path: Path) -> None:
    _, _, folder = written(tmp_path, study_results(experiment(), [Ran(), Ran()]))
    assert "pareto-front" not in figures(folder)


def test_big_study_stays_small(tmp_path: Path) -> None:
    names = [
        "weightDecay",
        "labelSmoothing",
        "ema",
        "augmentation.mixup",
        "augmentation.cutmix",
        "augmentation.erasing",
    ]
    more = ", ".join(f"{name}: {{low: 0, high: 0.5}}" for name in names)
    space = (
        CONDITIONAL[:-1]
        + f", {more}, schedule.name: {{choices: [cosine, step]}}, schedule.finalFactor: {{low: 0, high: 1}}}}"
    )
    ran = [Ran(COMPLETE if n % 3 else STOPPED_EARLY, (0.1, 0.3 + n % 17 / 40)) for n in range(500)]
    study = study_results(experiment(space, "sweep.trials=500"), ran, classes=100, gpus=1)
    assert len(study.experiment.searched) == 12
    page, _, _ = written(tmp_path, study)
    assert len(page.encode()) < 3_000_000
    assert len(re.findall("<tr", page)) > 500


def test_saving_is_estimated_from_each_trials_own_epochs() -> None:
    ran = [Ran(accuracies=(0.5,) * 8), Ran(STOPPED_EARLY, (0.1,) * 2), Ran(STOPPED_EARLY, (0.1,) * 6)]
    cost = sweep_cost(study_results(experiment("sweep.trials=3", "sweep.epochs=8"), ran, gpus=2))
    assert cost.saved_hours * 3600 == pytest.approx((6 + 2) * 10)
    assert cost.trial_hours * 3600 == pytest.approx(160)
    assert cost.stages[0].gpu_hours == pytest.approx(2 * cost.trial_hours)


@pytest.mark.parametrize(
    "overrides",
    [[], ["seed=3", "sweep.trials=5"], [CONDITIONAL, "study.name=mine"], SCHEDULES[:3]],
    ids=["preset", "changed", "space", "grid"],
)
def test_command_leads_to_the_same_experiment(overrides: list[str]) -> None:
    asked = experiment(*overrides)
    found = reproduction(asked)
    assert not found.needs_file
    words = shlex.split(found.command)
    assert words[:4] == ["resnet-sweep", "local", "--preset", "quick"]
    assert load_experiment("quick", None, words[5::2]) == asked


def test_command_that_would_be_long_takes_the_file(tmp_path: Path) -> None:
    asked = experiment(f"study.deviations={json.dumps(['long ' * 200])}")
    found = reproduction(asked)
    assert found.command == "resnet-sweep local --config experiment.yaml"
    (tmp_path / "experiment.yaml").write_text(found.yaml)
    assert load_experiment(None, tmp_path / "experiment.yaml", []) == asked


def test_importances_are_those_of_the_complete_trials() -> None:
    study = study_results(experiment(CONDITIONAL, "sweep.trials=12"), ALL_STATES)
    assert parameter_importances(study.trials, seed=0) is None  # too few are complete
    found = parameter_importances(study.trials * 4, seed=0)
    assert found is not None
    assert set(found.shares) == {"optimizer", "lr", "dropout"}
    assert found.left_out == ["momentum"]
    assert found.trials == found.complete == 4 * sum(trial.state is TrialState.COMPLETE for trial in study.trials)
    assert sum(found.shares.values()) == pytest.approx(1)
    for name, (low, high) in found.intervals.items():
        assert 0 <= low <= high <= 1
        assert low < high, name


def test_page_of_a_large_study_shows_some_trials_and_the_csv_has_all(tmp_path: Path) -> None:
    draw = random.Random(0)
    ran = [Ran(accuracies=(0.2, draw.uniform(0.3, 0.9))) for _ in range(1200)]
    ran[7] = Ran(accuracies=(0.1, 0.11), attributes={"parameters": 100, "macs": 200})  # on the front, and poor
    space = "searchSpace={batchSize: null, dropout: null, optimizer: null}"  # one parameter: no importances, which take long
    study = study_results(experiment("sweep.trials=1200", space), ran)
    shown = shown_trials(study)
    numbers = {trial.number for trial in shown}
    best = sorted(study.status.trials, key=lambda trial: -(trial.accuracy or 0))[:500]
    assert {trial.number for trial in best} | {0, 7} <= numbers  # the first was the best when it began
    assert 1000 <= len(shown) < 1050
    assert shown == shown_trials(study)

    page, _, folder = written(tmp_path, study)
    assert len(rows_of(folder / "trials.csv")) == 1200
    assert page.count('<th scope="row">') >= len(shown)
    assert f"This page shows {len(shown):,} of the 1,200 trials" in page
    assert len(page) < 3_000_000


def test_text_from_outside_is_escaped(tmp_path: Path) -> None:
    study = study_results(experiment("sweep.trials=1", "study.deviations=['<script>alert(1)</script>']"), [Ran()])
    page, _, _ = written(tmp_path, study)
    assert "<script>alert" not in page


def test_pipe_in_a_value_stays_within_its_cell_of_the_summary(tmp_path: Path) -> None:
    published = "study.published=[{what: 'theirs | ours', accuracy: 0.9}]"
    _, summary, _ = written(tmp_path, study_results(experiment("sweep.trials=1", published), [Ran()]))
    (row,) = [line for line in summary.splitlines() if line.startswith("| theirs")]
    assert row.startswith("| theirs \\| ours | 90.00 % |")


CONFIRM = "sweep.confirm={trials: 3, seeds: 2}"
FOUR = [Ran(accuracies=(0.5, 0.6 + n / 100)) for n in range(4)]


@pytest.mark.parametrize(
    ("confirmed", "said"),
    [
        (
            [(0.60, 0.61), (0.62, 0.63), (0.5, 0.5)],
            "trial 3, had 63.00 % there and has 60.50 % on average when trained again: 2.50 percentage points of it were "
            "luck. Place 2, trial 2, was taken: its mean, 62.50 %, is the best.",
        ),
        (
            [(0.66, 0.64), (0.62, 0.63), (0.5, 0.5)],
            "has 65.00 % on average when trained again: none of it was luck. It was taken: its mean is the best.",
        ),
        (
            [(0.62, 0.63), (0.61, 0.61), (0.5, 0.5)],
            "0.50 percentage points of it were luck, less than the 1.34 that 5,000 validation images leave open. It was taken",
        ),
        (
            [(0.60, 0.61), (0.9,), (0.5, 0.5)],
            "2.50 percentage points of it were luck. It was taken: its mean is the best of those with 2 confirmations.",
        ),
        (
            [(), (0.62, 0.63), (0.5, 0.5)],
            "could not be confirmed, so how much of it was luck is unknown. Place 2, trial 2, was taken",
        ),
    ],
)
def test_confirmations_say_how_much_of_the_first_place_was_luck(
    tmp_path: Path, confirmed: list[tuple[float, ...]], said: str
) -> None:
    page, summary, folder = written(
        tmp_path, study_results(experiment(CONFIRM, "sweep.trials=4"), FOUR, confirmed=confirmed)
    )
    assert said in page
    assert said in summary
    assert '<a href="#confirmation">' in page
    assert "configurations of 4 complete trials were trained again" in page
    rows = rows_of(folder / "figures/confirmation.csv")
    assert [float(row["confirmation (%)"]) for row in rows] == [100 * one for own in confirmed for one in own]


def test_interval_of_a_mean_is_student_s_and_none_of_a_single_confirmation(tmp_path: Path) -> None:
    confirmed = [(0.60, 0.62), (0.70,)]
    _, summary, _ = written(tmp_path, study_results(experiment(CONFIRM, "sweep.trials=4"), FOUR, confirmed=confirmed))
    assert "| 1 | 3 (taken) | 63.00 % | 2 × | 61.00 % | 48.29 – 73.71 % | -2.00 |" in summary
    assert "| 2 | 2 | 62.00 % | 1 × | 70.00 % | – | +8.00 |" in summary


def test_study_without_confirmations_says_nothing_of_them(tmp_path: Path) -> None:
    page, summary, folder = written(tmp_path, study_results(experiment("sweep.trials=4"), FOUR))
    assert '<a href="#confirmation">' not in page
    assert "## Confirmation" not in summary
    assert "confirmation" not in figures(folder)


def test_study_whose_confirmations_were_cancelled_takes_the_first_place_and_says_so(tmp_path: Path) -> None:
    study = study_results(experiment(CONFIRM, "sweep.trials=4"), FOUR, confirmed=[(0.6, 0.6)])
    cancelled = [replace(one, state=SlotState.CANCELLED) for one in study.status.confirmations]
    study = replace(study, status=replace(study.status, confirmations=cancelled))
    page, _, folder = written(tmp_path, study)
    assert "No confirmation is complete. The first place of the sweep was taken" in page
    assert "confirmation" not in figures(folder)


def test_table_has_once_what_is_the_same_in_every_trial_and_parameters_before_costs(tmp_path: Path) -> None:
    study = study_results(experiment(CONDITIONAL, "sweep.trials=12"), ALL_STATES)
    table = trial_table(study)
    shown = table.for_people()
    assert {*shown.header, *table.fixed} ^ set(table.header) == {"accuracy", "accuracy (%)"}
    assert not set(shown.header) & set(table.fixed)
    searched = [shown.header.index(name) for name in study.experiment.searched if name in shown.header]
    costs = [shown.header.index(name) for name in ("epochs", "seconds")]
    assert max(searched) < min(costs)
    column = {name: [row[place] for row in table.rows] for place, name in enumerate(table.header)}
    column["accuracy"] = [percent(ran.accuracies[-1] if ran.accuracies else None, 5_000) for ran in ALL_STATES]
    for place, name in enumerate(shown.header):
        assert [row[place] for row in shown.rows] == column[name]
    page, _, folder = written(tmp_path, study)
    for name in table.fixed:
        assert f"{name} " in page
    with (folder / "trials.csv").open() as file:
        assert tuple(next(csv.reader(file))) == table.header


def test_parameter_that_was_not_searched_in_a_trial_shows_what_it_was_fixed_at(tmp_path: Path) -> None:
    with_momentum = {"optimizer": "sgd", "lr": 0.1, "dropout": 0.1, "momentum": 0.6}
    without = {"optimizer": "adamw", "lr": 0.2, "dropout": 0.2}
    ran = [Ran(parameters=with_momentum), Ran(parameters=without)]
    page, _, _ = written(tmp_path, study_results(experiment(CONDITIONAL, "sweep.trials=2"), ran))
    assert page.count('<td class="given">0.9</td>') == 1
    assert "not searched in that trial" in page
