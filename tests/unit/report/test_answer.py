"""What a report says in words: what was tried, how sure the answer is, and what would tell more."""

from dataclasses import replace

import pytest

from jobs.experiment.search_space import Choices, Range
from jobs.report.study.advice import advice, edges
from jobs.report.study.answer import answer
from jobs.report.study.cost import sweep_cost
from jobs.report.study_results import StudyResults
from tests.support.invented import STOPPED_EARLY, Ran, experiment, study_results

SPACE = "searchSpace={lr: {low: 0.01, high: 0.1, log: true}, dropout: {low: 0.0, high: 0.5}}"


def searched(accuracies: list[float], *overrides: str, seeds: int = 1, lr: float = 0.03) -> StudyResults:
    ran = [Ran(accuracies=(0.1, own), parameters={"lr": lr, "dropout": n / 100}) for n, own in enumerate(accuracies)]
    return study_results(experiment(SPACE, f"sweep.trials={len(ran)}", *overrides), ran, seeds=seeds)


def said(study: StudyResults) -> str:
    return "\n".join(f"{hint.words} {hint.option}" for hint in advice(study, sweep_cost(study)))


def test_what_was_tried_is_said_without_terms_of_the_trade() -> None:
    ran = [Ran(), Ran(), Ran(STOPPED_EARLY, (0.1,))]
    tried = answer(study_results(experiment(SPACE, "sweep.trials=3", "sweep.epochs=8"), ran)).tried
    assert tried == (
        "3 configurations were tried, each with values of its own for lr, dropout. Each was a training of 8 epochs, "
        "judged by 5,000 validation images that it did not train on: 2 ran to the end; 1 stopped early, as others were "
        "ahead after as many epochs."
    )
    fixed = study_results(experiment("searchSpace={}", "sweep.trials=1"), [Ran(parameters={})])
    assert answer(fixed).tried == "Nothing was searched: one training of 8 epochs with the values of the experiment."


@pytest.mark.parametrize(
    ("accuracies", "end"),
    [
        ([0.6, 0.8, 0.5], "30.00 points"),
        ([0.8, 0.795, 0.5], "and one other configuration is within that"),
        ([0.8, 0.795, 0.796], "and 2 other configurations are within that"),
    ],
)
def test_a_narrow_lead_is_called_uncertain(accuracies: list[float], end: str) -> None:
    sure = answer(searched(accuracies)).sure
    if end == "30.00 points":
        assert (
            "20.00 points ahead of the next; 5,000 validation images leave each value open by some 1.11 points" in sure
        )
        assert "and no other configuration came so near." in sure
    else:
        assert end in sure


def test_advice_follows_from_the_numbers() -> None:
    late, early = said(searched([0.5, 0.6, 0.7, 0.8])), said(searched([0.8, 0.5, 0.6, 0.7]))
    assert "More trials: the best value came late, in trial 3 of 0 to 3. 4 more take some" in late
    assert "The same command again with --set sweep.trials=8" in late
    assert "More trials promise less: the last 3 of 4 found nothing better than trial 0." in early
    assert "Confirmation" not in late
    assert "The same command again with --set 'sweep.confirm={trials: 3, seeds: 3}'" in said(
        searched([0.8, 0.8, 0.799, 0.3])
    )
    assert "More seeds: 3 tell how much of the result is the seed" in late
    assert "--set study.name=quick-3-seeds --set finalTrain.seeds=3" in late
    narrower = said(searched([0.8, 0.5], f"study.name={'a' * 63}", seeds=3))
    assert "More seeds: 6 in place of 3 would narrow the interval" in narrower
    assert f"--set study.name={'a' * 55}-6-seeds --set finalTrain.seeds=6" in narrower
    assert "More training images: there are some 100 of each class" in late
    assert "More test images: 300 tell the accuracy of one network to about ± 5.3 points" in late


def test_value_at_the_end_of_its_range_is_pointed_at() -> None:
    assert "A wider range: lr=0.1 is at the upper end of what was searched (0.01 to 0.1)" in said(
        searched([0.8], lr=0.1)
    )
    assert "wider" not in said(searched([0.8], lr=0.03))


@pytest.mark.parametrize(
    ("parameter", "value", "found"),
    [
        (Range(low=0.01, high=1, log=True), 0.01, "lower"),
        (Range(low=0.01, high=1, log=True), 0.1, None),
        (Range(low=0.0, high=1.0), 0.0, None),  # nothing lies below
        (Range(low=0.5, high=1.0), 0.5, "lower"),
        (Range(low=1, high=10, step=4), 9, "upper"),
        (Choices(choices=(16, 32, 64)), 64, "upper"),
        (Choices(choices=(16, 64)), 64, None),  # of two values one is always at the end
        (Choices(choices=("sgd", "adamw", "muon")), "muon", None),
        (Choices(choices=(True, False, None)), True, None),
    ],
)
def test_only_what_has_an_end_can_be_at_it(parameter: Range | Choices, value: object, found: str | None) -> None:
    ends = edges({"one": parameter}, {"one": value})
    assert [end.split()[1] for _, end in ends] == ([found] if found else [])


def test_cost_has_a_row_for_each_stage_and_tells_other_devices_only_of_much_work() -> None:
    confirm = "sweep.confirm={trials: 2, seeds: 2}"
    ran = [Ran(accuracies=(0.1, 0.2 + n / 10), attributes={"parameters": 1, "macs": 10_000_000}) for n in range(3)]
    ran = [Ran(one.state, one.accuracies, {"lr": 0.02, "dropout": n / 10}, attributes=one.attributes) for n, one in enumerate(ran)]  # fmt: skip
    small = study_results(experiment(SPACE, "sweep.trials=3", confirm), ran, seeds=2, gpus=1, confirmed=[(0.5, 0.6)])
    cost = sweep_cost(small)
    assert [(stage.name, stage.trainings) for stage in cost.stages] == [("sweep", 3), ("confirmations", 2), ("final training", 2)]  # fmt: skip
    assert cost.stages[0].flop == pytest.approx(6 * 10_000_000 * 1000 * 6)
    assert cost.stages[1].flop == pytest.approx(6 * 10_000_000 * 1000 * 2 * small.experiment.sweep.epochs)
    assert cost.stages[2].gpu_hours == pytest.approx(60 / 3600)
    assert cost.gpu_hours == pytest.approx(sum(stage.gpu_hours for stage in cost.stages))
    assert cost.elsewhere == {}
    much = sweep_cost(study_results(experiment(SPACE, "finalTrain.epochs=400"), ran))
    for hours in much.elsewhere.values():
        assert len(hours) == 2
        assert hours[1] > hours[0] > 0


def test_equal_values_and_guessing_are_called_by_their_names() -> None:
    assert "In the sweep 3 configurations had the same best value" in answer(searched([0.8, 0.7, 0.8, 0.8])).sure
    good = searched([0.8, 0.5])
    assert answer(good).sure.endswith(" Naming the most frequent class every time would be right for 10.0 %.")
    test = good.metrics.test.model_copy(update={"accuracy": 0.12, "accuracy_interval": (0.09, 0.16)})
    poor = replace(good, metrics=good.metrics.model_copy(update={"test": test}))
    guessing = (
        "With 300 test images this cannot be told from guessing: naming the most frequent class every time would "
    )
    assert answer(poor).sure.startswith(guessing + "be right for 10.0 %. ")
    several = searched([0.8, 0.5], seeds=3)  # whose mean is sure, and the network that is kept is not
    unsure = replace(several, metrics=several.metrics.model_copy(update={"test": test}))
    assert answer(unsure).sure.startswith(guessing)
    assert list(answer(unsure).intervals) == ["over 3 seeds", "from the test images, seed 0"]


def test_trials_that_tie_for_the_last_place_of_the_confirmation_are_told() -> None:
    ran = [
        Ran(accuracies=(0.1, own), parameters={"lr": 0.03, "dropout": n / 100}) for n, own in enumerate((0.8, 0.7, 0.7))
    ]
    confirm = experiment(SPACE, "sweep.trials=3", "sweep.confirm={trials: 2, seeds: 1}")
    study = study_results(confirm, ran, confirmed=[(0.7,), (0.7,)])
    told = "The 2 best (1 more had the value of the last of them, and began later) were trained again"
    assert told in answer(study).tried


def test_a_class_far_below_the_others_is_named() -> None:
    study = searched([0.8, 0.5])
    assert "weakest" not in said(study)
    shares = [0.7] * 9 + [0.1]
    test = study.metrics.test.model_copy(update={"per_class_accuracy": shares})
    weak = replace(study, metrics=study.metrics.model_copy(update={"test": test}))
    assert "Images of 9, the weakest class: 3 of 30 were recognised." in said(weak)
