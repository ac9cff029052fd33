import warnings
from typing import Any

import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from jobs.experiment.experiment import Experiment
from jobs.experiment.load import load_experiment
from jobs.experiment.search_space import LARGEST_GRID
from jobs.queue.study import distributions
from jobs.runtime.errors import ConfigurationError


def searching(space: str, *overrides: str) -> Experiment:
    return load_experiment("quick", None, [f"searchSpace={space}", *overrides])


def grid(space: str, trials: int) -> list[dict[str, Any]]:
    return searching(space, "sweep.sampler.name=grid", f"sweep.trials={trials}").fixed_parameters()


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("{batchSize: {low: 32, high: 64, step: 0.5}}", r"^searchSpace\.batchSize\.step=0\.5: a whole number, as the field is$"),
        ("{batchSize: {low: 32, high: 64, step: 1.5}}", r"^searchSpace\.batchSize\.step=1\.5: a whole number"),
        ("{batchSize: {low: 32, high: 64, step: 33}}", r"^searchSpace\.batchSize\.step=33: at most 32, from low to high$"),
        ("{dropout: {low: 0.1, high: 0.3, step: 0.3}}", r"^searchSpace\.dropout\.step=0\.3: at most 0\.2, from low to high$"),
        ("{lr: {low: 0.10487482591114114, high: 0.3, step: 0.05}}", r"^searchSpace\.lr\.low=0\.10487482591114114: with fewer digits"),
        ("{lr: {low: 0.1, high: 0.3, step: 0}}", r"^searchSpace\.lr\.step=0: above 0 expected$"),
        ("{lr: {low: 0.1, high: 0.3, choices: [0.1]}}", r"^searchSpace\.lr=.*: choices, or low and high: not both$"),
        ("{lr: {step: 0.1, choices: [0.1]}}", r"^searchSpace\.lr=.*: choices, or low and high: not both$"),
        ("{lr: {choices: []}}", r"^searchSpace\.lr\.choices=\[\]: a list of at least 1 value expected$"),
        ("{pruning.amounts: {low: 0, high: 0.5}, pruning.amounts.0: {low: 0, high: 0.5}, pruning.method: {choices: [amounts]}}", r"^searchSpace\.pruning\.amounts=0\.0: pruning\.amounts: not together with single values of it, as pruning\.amounts\.0$"),
        ("{pruning.method: {choices: [none]}, pruning.amounts.0: {low: 0, high: 0.5}}", r"^searchSpace\.pruning\.amounts\.0=0\.0: pruning\.amounts=\[0\.0, .*\]: null expected with pruning\.method=target$"),
        ("{pruning.method: {choices: [none, amounts]}, pruning.amounts: {low: 0, high: 0.5, when: {pruning.method: [none]}}}", r"pruning\.amounts: needed with pruning\.method=amounts$"),
        ("{optimizer: {choices: [sgd, adam]}, pruning.method: {choices: [none, amounts]}, pruning.amounts: {low: 0.1, high: 0.5, when: {optimizer: [sgd]}}}", r"^searchSpace: some trials have \{pruning\.method: 'amounts'\}: pruning\.amounts: needed with pruning\.method=amounts$"),
        ("{optimizer: {choices: [sgd, adam]}, pruning.method: {choices: [none, target]}, pruning.target: {choices: [null, 30000]}}", r"^searchSpace\.pruning\.target=null: pruning\.target: needed with pruning\.method=target$"),
    ],
)  # fmt: skip
def test_space_with_values_that_no_trial_can_have_is_refused(space: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        searching(space)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("low", "high", "step", "values"),
    [
        (0, 0.3, 0.1, [0.0, 0.1, 0.2, 0.3]),
        (0.1, 0.9, 0.2, [0.1, 0.3, 0.5, 0.7, 0.9]),
        (0, 0.5, 0.3, [0.0, 0.3]),
        (0.7, 0.8, 0.05, [0.7, 0.75, 0.8]),
    ],
)
def test_grid_has_the_values_as_they_would_be_written(
    low: float, high: float, step: float, values: list[float]
) -> None:
    points = grid(f"{{dropout: {{low: {low}, high: {high}, step: {step}}}}}", len(values))
    assert [point["dropout"] for point in points] == values


def test_grid_ends_at_high_exactly() -> None:
    """1/10 seven times, and three times, is more than 1 in floating point."""
    points = grid("{schedule.finalFactor: {low: 0.3, high: 1, step: 0.1}}", 8)
    assert [point["schedule.finalFactor"] for point in points] == [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_endless_grid_is_refused_before_it_is_made() -> None:
    message = rf"^searchSpace: 1000000000000001 combinations of values, at most {LARGEST_GRID:,}$"
    with pytest.raises(ConfigurationError, match=message):
        grid("{dropout: {low: 0, high: 0.5, step: 0.0000000000000005}}", 5)


def test_steps_that_miss_high_end_below_it_without_a_word() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        space = distributions(
            searching("{dropout: {low: 0, high: 0.5, step: 0.3}, batchSize: {low: 32, high: 70, step: 16}}")
        )
    assert space == {
        "dropout": FloatDistribution(0.0, 0.3, step=0.3),
        "batchSize": IntDistribution(32, 64, step=16),
    }


def test_amount_of_a_block_can_be_searched_beside_methods_that_have_none() -> None:
    experiment = searching(
        "{pruning.method: {choices: [none, amounts]}, pruning.amounts.0: {low: 0.1, high: 0.5}}", "pruning={}"
    )
    assert experiment.with_parameters({"pruning.method": "none", "pruning.amounts.0": 0.3}).pruning.amounts is None
    amounts = experiment.with_parameters({"pruning.method": "amounts", "pruning.amounts.0": 0.3}).pruning.amounts
    assert amounts is not None
    assert amounts[0] == 0.3
