"""What the sampler learns from networks over the budget, none of which is trained."""

import optuna
import pytest
from optuna.trial import TrialState

from jobs.experiment.experiment import Experiment
from jobs.experiment.load import load_experiment
from jobs.queue.claimed_trial import OVER_BUDGET
from jobs.queue.study import create_study, load_study, suggest
from resnet_core.build import planned_network
from resnet_core.count import count_parameters

pytestmark = pytest.mark.usefixtures("quiet_optuna")

TRIALS, LAST = 60, 30
STAGES = (
    "searchSpace={model.widths.0: {low: 8, high: 64}, model.widths.1: {low: 16, high: 128}, "
    "model.widths.2: {low: 32, high: 256}, model.depths.0: {low: 1, high: 4}, model.depths.2: {low: 1, high: 4}}"
)
LISTS = (
    "searchSpace={model.widths: {choices: [[8, 16, 32], [64, 64, 64], [64, 128, 256], [32, 64, 128]]}, "
    "model.depths.2: {low: 1, high: 4}}"
)


def over_budget(experiment: Experiment, *, told: bool = True) -> list[bool]:
    """Whether the network of each trial is over the budget; of the others, a bigger one is better."""
    storage = optuna.storages.InMemoryStorage()
    create_study(experiment, storage)
    found = []
    for slot in range(TRIALS):
        study = load_study(experiment, storage, slot)
        trial = study.ask()
        own = experiment.with_parameters(suggest(trial, experiment, {}))
        parameters = count_parameters(planned_network(own.model, own.pruning, 10))
        excess = parameters - experiment.budget.parameters
        found.append(excess > 0)
        if excess > 0:
            if told:
                trial.set_constraint(OVER_BUDGET, excess)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, parameters / experiment.budget.parameters)
    return found


def searching(space: str, sampler: str) -> Experiment:
    return load_experiment(
        "quick", None, ["pruning={}", "budget.parameters=100000", space, f"sweep.sampler.name={sampler}"]
    )


@pytest.mark.parametrize("space", [STAGES, LISTS], ids=["stages", "lists"])
def test_tpe_learns_to_keep_networks_within_the_budget(space: str) -> None:
    at_random = over_budget(searching(space, "random"))
    learned = over_budget(searching(space, "tpe"))
    assert sum(learned[-LAST:]) < 0.75 * sum(at_random[-LAST:])


def test_tpe_learns_sooner_from_how_far_a_network_is_over_the_budget() -> None:
    experiment = searching(STAGES, "tpe")
    assert sum(over_budget(experiment)) < sum(over_budget(experiment, told=False))
