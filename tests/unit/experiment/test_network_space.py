"""The network in the search space: single stages, whole lists, and what of them fits together."""

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution

from jobs.experiment.experiment import Experiment
from jobs.experiment.load import dump_experiment, load_experiment, parse_experiment
from jobs.experiment.network_space import network_combinations
from jobs.experiment.parameters import searchable_fields
from jobs.experiment.values import ListValue
from jobs.queue.study import distributions
from jobs.report.study.reproduction import reproduction
from jobs.runtime.errors import ConfigurationError
from resnet_core.config import ModelConfig

UNPRUNED = "pruning={}"  # quick has three stages of one block, of 16, 32 and 64 channels


def searching(space: str, *overrides: str) -> Experiment:
    return load_experiment("quick", None, [UNPRUNED, f"searchSpace={space}", *overrides])


def model(experiment: Experiment, **parameters: Any) -> ModelConfig:
    named = {name.replace("_", "."): value for name, value in parameters.items()}
    return experiment.with_parameters(named).model


def test_every_field_of_the_model_can_be_searched() -> None:
    fields = {f"model.{field.alias}" for field in ModelConfig.model_fields.values()}
    assert fields
    assert fields <= set(searchable_fields())


def test_lists_are_put_into_the_network() -> None:
    experiment = searching(
        "{model.widths: {choices: [[64, 128, 256], [48, 96, 192]]}, model.depths: {choices: [[1, 1, 1], [2, 1, 3]]}}"
    )
    own = model(experiment, model_widths=ListValue([48, 96, 192]), model_depths=ListValue([2, 1, 3]))
    assert (own.depths, own.widths, own.strides) == ((2, 1, 3), (48, 96, 192), (1, 2, 2))


def test_single_stages_are_put_into_what_the_network_has_without_them() -> None:
    experiment = searching(
        "{model.width: {low: 8, high: 24, step: 8}, model.widths.1: {choices: [40, 56]}, "
        "model.depths.2: {low: 1, high: 3}, model.strides.0: {choices: [1, 2]}}"
    )
    own = model(experiment, model_width=24, model_widths_1=40, model_depths_2=3, model_strides_0=2)
    assert (own.depths, own.widths, own.strides) == ((1, 1, 3), (24, 40, 96), (2, 2, 2))
    assert distributions(experiment) == {
        "model.width": IntDistribution(8, 24, step=8),
        "model.widths.1": CategoricalDistribution([40, 56]),
        "model.depths.2": IntDistribution(1, 3),
        "model.strides.0": CategoricalDistribution([1, 2]),
    }


def test_widths_may_be_listed_in_some_trials_and_doubled_in_others() -> None:
    experiment = searching(
        "{model.widths: {choices: [null, [8, 8, 8]]}, model.width: {low: 4, high: 6, when: {model.widths: [null]}}}"
    )
    assert model(experiment, model_widths=None, model_width=5).stage_widths == (5, 10, 20)
    assert model(experiment, model_widths=ListValue([8, 8, 8])).stage_widths == (8, 8, 8)


def test_amounts_are_counted_by_the_blocks_of_the_trial() -> None:
    space = (
        "{model.depths: {choices: [[1, 1, 1], [2, 1, 1]]}, pruning.amounts.0: {low: 0.1, high: 0.5}, "
        "pruning.amounts.3: {low: 0.1, high: 0.5, when: {model.depths: [[2, 1, 1]]}}}"
    )
    experiment = searching(space, "pruning={method: amounts, amounts: [0.2]}")
    deep = experiment.with_parameters(
        {"model.depths": ListValue([2, 1, 1]), "pruning.amounts.0": 0.5, "pruning.amounts.3": 0.4}
    )
    assert deep.pruning.amounts == (0.5, 0.2, 0.2, 0.4)
    assert experiment.with_parameters({"pruning.amounts.0": 0.5}).pruning.amounts == (0.5, 0.2, 0.2)


def test_lists_of_another_length_come_with_a_condition() -> None:
    experiment = searching(
        "{model.strides: {choices: [[1, 2], [2, 2]], when: {model.depths: [[2, 2]]}}, "
        "model.depths: {choices: [[1, 1, 1], [2, 2]]}}"
    )
    assert network_combinations(experiment.search_space) == [
        {"model.depths": ListValue([1, 1, 1])},
        {"model.strides": ListValue([2, 2]), "model.depths": ListValue([2, 2])},
    ]


def test_grid_and_list_take_lists() -> None:
    space = "{model.depths: {choices: [[1, 1, 1], [2, 1, 1]]}, lr: {choices: [0.1, 0.2]}}"
    grid = searching(space, "sweep.sampler.name=grid", "sweep.trials=4")
    assert grid.fixed_parameters()[2] == {"model.depths": ListValue([2, 1, 1]), "lr": 0.1}
    listed = "[{model.depths: [2, 2], model.strides: [1, 2]}, {model.widths: [8.0, 16, 24]}, {}]"
    manual = load_experiment(
        "quick",
        None,
        [
            UNPRUNED,
            *(f"searchSpace.{name}=null" for name in ("optimizer", "lr", "batchSize", "dropout")),
            "sweep.sampler.name=manual",
            "sweep.trials=3",
            f"sweep.configurations={listed}",
            "study.published=[{what: wide, accuracy: 0.9, where: {model.widths: [8, 16, 24]}}]",
        ],
    )
    assert manual.fixed_parameters()[1] == manual.study.published[0].where == {"model.widths": ListValue([8, 16, 24])}
    assert repr(manual.fixed_parameters()[1]) == "{'model.widths': [8, 16, 24]}"


def test_lists_are_read_again_as_they_were_written() -> None:
    experiment = searching(
        "{model.widths: {choices: [[64, 128, 256], [32, 32, 32]]}, "
        "lr: {low: 0.1, high: 0.2, when: {model.widths: [[32, 32, 32.0]]}}}"
    )
    text = dump_experiment(experiment)
    assert parse_experiment(text) == experiment
    assert "32.0" not in text
    command = reproduction(experiment).command
    assert '"model.widths": {"choices": [[64, 128, 256], [32, 32, 32]]}' in command


def test_one_list_of_the_space_can_be_set() -> None:
    set_alone = load_experiment("quick", None, [UNPRUNED, "searchSpace.model.widths={choices: [[8, 8, 8], [4, 8, 8]]}"])
    assert set(set_alone.search_space) == {"optimizer", "lr", "batchSize", "dropout", "model.widths"}
    choices = load_experiment("quick", None, [UNPRUNED, "searchSpace.model.depths.0.choices=[1, 2]"])
    assert model(choices, model_depths_0=2).depths == (2, 1, 1)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("{model.depths: {choices: [[1, 1, 1], [1, 1]]}}", "searchSpace.model.depths=[1, 1]: model.strides=[1, 2, 2]: 2 values expected, one a stage as in model.depths=[1, 1]"),
        ("{model.widths: {choices: [[8, 8]]}}", "searchSpace.model.widths=[8, 8]: model.widths=[8, 8]: 3 values expected, one a stage as in model.depths=[1, 1, 1]"),
        ("{model.depths: {choices: [[1, 1, 1], [1, 1]]}, model.strides: {choices: [[1, 2, 2], [1, 2]]}}", "searchSpace.model.depths=[1, 1]: model.strides=[1, 2, 2]: 2 values expected, one a stage as in model.depths=[1, 1]"),
        ("{model.strides: {choices: [[2, 2, 2], [1, 2, 2]]}, model.widths: {choices: [null, [8, 8]], when: {model.strides: [[1, 2, 2]]}}}", "searchSpace.model.widths=[8, 8]: model.widths=[8, 8]: 3 values expected"),
        ("{model.depths: {low: 1, high: 2}}", "searchSpace.model.depths=1.0: a list expected"),
        ("{model.depths: {choices: [[1, 0, 1]]}}", "searchSpace.model.depths=[1, 0, 1]: at least 1 expected"),
        ("{model.depths: {choices: [[]]}}", "searchSpace.model.depths=[]: a list of at least 1 value expected"),
        ("{model.depths: {choices: [[1, 1, 1], [1, 1, 1.0]]}}", "searchSpace.model.depths.choices=[[1, 1, 1], [1, 1, 1]]: each value once"),
        ("{model.depths: {choices: [[1, 1, 1]]}, model.depths.0: {choices: [1, 2]}}", "searchSpace: some trials have {model.depths: [1, 1, 1], model.depths.0: 1}: model.depths: not together with single values of it, as model.depths.0"),
        ("{model.depths.3: {choices: [1, 2]}}", "searchSpace.model.depths.3=1: the network has 3 stages, counted from 0"),
        ("{model.widths.0: {low: 0, high: 2}}", "searchSpace.model.widths.0=0.0: at least 1 expected"),
        ("{model.widths: {choices: [[8, 8, 8]]}, model.width: {low: 4, high: 8}}", "searchSpace: some trials have {model.widths: [8, 8, 8], model.width: 8.0}: model.width: without effect where model.widths are given"),
        ("{model.with: {low: 4, high: 8}}", "searchSpace.model.with=4.0: no field of training, model or pruning: optimizer, lr"),
        ("{lr: {low: 0.1, high: 0.2, when: {model.depths: [[2, 2, 2]]}}, model.depths: {choices: [[1, 1, 1]]}}", "searchSpace.lr.when.model.depths=[2, 2, 2]: one of [1, 1, 1]"),
    ],
)  # fmt: skip
def test_networks_that_cannot_be_are_refused_in_one_line(space: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        searching(space)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_depths_have_to_fit_the_amounts() -> None:
    space = "{model.depths: {choices: [[1, 1, 1], [2, 1, 1]]}}"
    with pytest.raises(
        ConfigurationError, match=r"^searchSpace.model.depths=\[2, 1, 1\]: pruning.amounts=\[.*4 values"
    ):
        searching(space, "pruning={method: amounts, amounts: [0.1, 0.2, 0.3]}")
    space = "{model.depths.0: {low: 1, high: 2}, pruning.amounts: {choices: [[0.1, 0.2, 0.3], 0.5]}}"
    with pytest.raises(ConfigurationError, match=r"^searchSpace: some trials have \{model.depths.0: 2.0, .*4 values"):
        searching(space, "pruning={method: amounts, amounts: [0.1]}")


def test_published_value_of_a_list_that_is_not_searched_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^study.published.0.where.model.widths: not searched"):
        searching("{lr: {low: 0.1, high: 0.2}}", "study.published=[{what: x, accuracy: 1, where: {model.widths: [8]}}]")
