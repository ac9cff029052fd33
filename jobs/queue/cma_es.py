"""CMA-ES whose state is made anew from the finished trials.

Optuna's own sampler keeps its state in the database as a pickle, and whoever can write a pickle into a database runs
code in every process that opens it.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from jobs.queue.optuna_internals import trial_id

if TYPE_CHECKING:
    from cmaes import CMA

GENERATION = "cmaes_generation"  # the attribute of a trial that says in which generation it was sampled
Number = FloatDistribution | IntDistribution


class CmaEs(BaseSampler):
    """The first trials and whatever is no number are drawn at random; then each generation follows the one before.

    A generation is over when as many of its trials are complete as the population has, the first to be complete. So
    every process finds the same state, and trials that are complete later change nothing.
    """

    def __init__(
        self, storage: BaseStorage, space: Mapping[str, BaseDistribution], startup_trials: int, seed: int
    ) -> None:
        """`space` holds the parameters that every trial has; `seed` differs between trials."""
        self._storage, self._startup_trials, self._seed = storage, startup_trials, seed
        self._space: dict[str, Number] = {
            name: distribution
            for name, distribution in space.items()
            if isinstance(distribution, Number) and not distribution.single()
        }
        self._independent = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        return dict(self._space)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        if not search_space or len(complete) < self._startup_trials:
            return {}
        optimizer = self.optimizer(complete, maximize=study.direction is optuna.study.StudyDirection.MAXIMIZE)
        self._storage.set_trial_system_attr(trial_id(trial), GENERATION, optimizer.generation)
        point = optimizer.ask()
        return {name: _value(space, point[index]) for index, (name, space) in enumerate(self._space.items())}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def optimizer(self, complete: Iterable[FrozenTrial], *, maximize: bool) -> "CMA":
        """The state after all generations that are over; its coordinates lie between 0 and 1."""
        from cmaes import CMA  # noqa: PLC0415 - it imports scipy, which only this sampler needs

        count = len(self._space)
        optimizer = CMA(
            mean=np.full(count, 0.5),
            sigma=1 / 6,
            bounds=np.tile([0.0, 1.0], (count, 1)),
            n_max_resampling=10 * count,
            seed=self._seed,
        )
        generations = defaultdict(list)
        for trial in sorted(complete, key=lambda trial: (trial.datetime_complete, trial.number)):
            generations[trial.system_attrs.get(GENERATION)].append(trial)
        while len(sampled := generations[optimizer.generation]) >= optimizer.population_size:
            optimizer.tell(
                [(self._point(trial), _loss(trial, maximize)) for trial in sampled[: optimizer.population_size]]
            )
        return optimizer

    def _point(self, trial: FrozenTrial) -> np.ndarray[Any, Any]:
        return np.array([_coordinate(space, trial.params[name]) for name, space in self._space.items()])


def _loss(trial: FrozenTrial, maximize: bool) -> float:
    assert trial.value is not None
    return -trial.value if maximize else trial.value


def _ends(space: Number) -> tuple[float, float]:
    """Where 0 and 1 lie: with steps half a step beyond the range, so that each value has the same share."""
    half = (space.step or 0) / 2
    low, high = space.low - half, space.high + half
    return (math.log(low), math.log(high)) if space.log else (low, high)


def _coordinate(space: Number, value: float) -> float:
    low, high = _ends(space)
    return ((math.log(value) if space.log else value) - low) / (high - low)


def _value(space: Number, coordinate: float) -> float:
    low, high = _ends(space)
    value = low + float(coordinate) * (high - low)
    value = math.exp(value) if space.log else value
    if space.step is not None:
        value = space.low + round((value - space.low) / space.step) * space.step
    value = min(max(value, space.low), space.high)
    return int(value) if isinstance(space, IntDistribution) else value
