"""The Optuna study of an experiment: how trials are sampled and stopped early."""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage

from jobs.experiment.experiment import Experiment
from jobs.experiment.search_space import Choices, is_active, ordered
from jobs.experiment.sweep_config import EarlyStoppingConfig
from jobs.experiment.values import Value
from jobs.queue.cma_es import CmaEs
from jobs.queue.optuna_values import stored_value, value_of
from resnet_core.seeds import derive_seed


def create_study(experiment: Experiment, storage: BaseStorage) -> optuna.Study:
    """The study in the database, which is created unless it exists."""
    return optuna.create_study(
        study_name=experiment.study_name,
        storage=storage,
        directions=["maximize" if objective == "accuracy" else "minimize" for objective in experiment.sweep.objectives],
        load_if_exists=True,
    )


def load_study(experiment: Experiment, storage: BaseStorage, slot: int | None = None) -> optuna.Study:
    """The study; for a worker with the sampler and the early stopping of one slot."""
    sampler = pruner = None
    if slot is not None:
        sampler = _sampler(experiment, storage, derive_seed(experiment.seed, slot, "sampler"))
        pruner = _pruner(experiment.sweep.early_stopping, experiment.sweep.epochs)
    return optuna.load_study(study_name=experiment.study_name, storage=storage, sampler=sampler, pruner=pruner)


def distributions(experiment: Experiment) -> dict[str, BaseDistribution]:
    """The search space in Optuna's terms; a field that holds whole numbers is searched in whole numbers."""
    space: dict[str, BaseDistribution] = {}
    for name, parameter in experiment.searched.items():
        if isinstance(parameter, Choices):
            space[name] = CategoricalDistribution([stored_value(choice) for choice in parameter.choices])
        elif isinstance(experiment.field_value(name, parameter.low), int):
            low, high, step = int(parameter.low), int(parameter.reached), int(parameter.step or 1)
            space[name] = IntDistribution(low, high, log=parameter.log, step=step)
        else:
            space[name] = FloatDistribution(parameter.low, parameter.reached, log=parameter.log, step=parameter.step)
    return space


def suggest(trial: optuna.Trial, experiment: Experiment, fixed: Mapping[str, Value]) -> dict[str, Any]:
    """The trial's parameters; a trial that is taken up again keeps those that it began with.

    Of a grid or a list of configurations a trial has what is `fixed` for it; else what the search space holds under
    the conditions that are met.
    """
    searched, spaces = experiment.searched, distributions(experiment)
    parameters: dict[str, Any] = {}
    for name in ordered(searched):
        if name in fixed if experiment.sweep.sampler.is_fixed else is_active(searched[name], parameters):
            parameters[name] = _suggest(trial, name, spaces[name])
    return parameters


def _suggest(trial: optuna.Trial, name: str, space: BaseDistribution) -> Any:
    match space:
        case CategoricalDistribution():
            return value_of(trial.suggest_categorical(name, space.choices))
        case IntDistribution():
            return trial.suggest_int(name, space.low, space.high, step=space.step, log=space.log)
        case FloatDistribution():
            return trial.suggest_float(name, space.low, space.high, step=space.step, log=space.log)
    raise AssertionError(space)


def _sampler(experiment: Experiment, storage: BaseStorage, seed: int) -> BaseSampler:
    config = experiment.sweep.sampler
    match config.name:
        case "tpe":
            return TPESampler(n_startup_trials=config.startup_trials, seed=seed)
        case "gp":
            return GPSampler(n_startup_trials=config.startup_trials, seed=seed)
        case "cmaes":
            searched = experiment.searched
            always = {name: space for name, space in distributions(experiment).items() if not searched[name].when}
            return CmaEs(storage, always, config.startup_trials, seed)
        case "random" | "grid" | "manual":  # the parameters of the last two are fixed in the slots
            return RandomSampler(seed=seed)


def _pruner(config: EarlyStoppingConfig, epochs: int) -> BasePruner:
    match config.name:
        case "halving":
            return SuccessiveHalvingPruner(min_resource=config.min_epochs, reduction_factor=config.reduction_factor)
        case "hyperband":
            return HyperbandPruner(
                min_resource=config.min_epochs, max_resource=epochs, reduction_factor=config.reduction_factor
            )
        case "median":
            return MedianPruner(n_startup_trials=config.startup_trials, n_warmup_steps=config.min_epochs)
        case "none":
            return NopPruner()
