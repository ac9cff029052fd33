"""CMA-ES over several processes: all that they share is the finished trials."""

import math
import random
from pathlib import Path

import numpy as np
import optuna
import pytest
from cmaes import CMA
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from jobs.queue.cma_es import GENERATION, CmaEs, _coordinate, _value

SPACE: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "dropout": FloatDistribution(0.0, 0.5),
    "batch": IntDistribution(16, 256, step=16),
    "kind": CategoricalDistribution(["a", "b"]),
}
STARTUP = 5


def loss(trial: optuna.Trial | FrozenTrial) -> float:
    lr, dropout, batch = (trial.params[name] for name in ("lr", "dropout", "batch"))
    return float((math.log10(lr) + 2) ** 2 + (10 * (dropout - 0.2)) ** 2 + ((batch - 96) / 32) ** 2)


def opened(storage: BaseStorage, seed: int, direction: str = "minimize") -> optuna.Study:
    """The study as a worker has it for one of its slots."""
    sampler = CmaEs(storage, SPACE, STARTUP, seed)
    return optuna.create_study(
        storage=storage, study_name="s", load_if_exists=True, sampler=sampler, direction=direction
    )


def ask(study: optuna.Study) -> optuna.Trial:
    trial = study.ask()
    for name, space in SPACE.items():
        trial._suggest(name, space)
    return trial


def run(storage: BaseStorage, trials: int, direction: str = "minimize") -> list[FrozenTrial]:
    sign = 1 if direction == "minimize" else -1
    for seed in range(trials):
        study = opened(storage, seed, direction)
        trial = ask(study)
        study.tell(trial, sign * loss(trial))
    return study.trials


def generations(trials: list[FrozenTrial]) -> list[int | None]:
    return [trial.system_attrs.get(GENERATION) for trial in trials]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_search_closes_in_on_the_best_and_beats_chance(direction: str) -> None:
    trials = run(InMemoryStorage(), 82, direction)
    size = CMA(np.zeros(3), 1.0).population_size
    assert generations(trials) == [None] * STARTUP + [n // size for n in range(82 - STARTUP)]
    draw = random.Random(0)
    chance = min(
        loss(
            optuna.trial.create_trial(
                params={
                    "lr": 10 ** draw.uniform(-4, 0), "dropout": draw.uniform(0, 0.5), "batch": draw.randrange(16, 257, 16), "kind": "a",
                },
                distributions=SPACE,
                value=0,
            )
        )
        for _ in range(82)
    )  # fmt: skip
    last = [loss(trial) for trial in trials[-size:]]
    assert np.median(last) < np.median([loss(trial) for trial in trials[:STARTUP]]) / 10
    assert min(map(loss, trials)) < chance


def test_state_is_that_of_an_optimizer_that_was_told_every_generation(tmp_path: Path) -> None:
    storage = RDBStorage(f"sqlite:///{tmp_path}/study.db")
    trials = run(storage, 30)
    reference = CMA(np.full(3, 0.5), 1 / 6, bounds=np.tile([0.0, 1.0], (3, 1)), seed=1)
    names = ("lr", "dropout", "batch")
    for start in range(STARTUP, STARTUP + 3 * reference.population_size, reference.population_size):
        told = trials[start : start + reference.population_size]
        reference.tell([(np.array([_coordinate(SPACE[n], t.params[n]) for n in names]), loss(t)) for t in told])  # type: ignore[arg-type]
    rebuilt = CmaEs(storage, SPACE, STARTUP, 99).optimizer(trials, maximize=False)
    assert rebuilt.generation == reference.generation == 3
    assert np.array_equal(rebuilt.mean, reference.mean)
    assert np.array_equal(rebuilt._C, reference._C)
    assert rebuilt._sigma == reference._sigma


def test_trials_that_run_side_by_side_are_of_one_generation_and_latecomers_change_nothing() -> None:
    storage = InMemoryStorage()
    run(storage, STARTUP)
    size = CMA(np.zeros(3), 1.0).population_size
    running = [ask(opened(storage, seed)) for seed in range(100, 101 + size)]  # one more than a generation has
    late, *others = running
    for trial in reversed(others):
        opened(storage, 0).tell(trial, loss(trial))
    next_one = ask(opened(storage, 200))
    before = CmaEs(storage, SPACE, STARTUP, 0).optimizer(_complete(storage), maximize=False)
    opened(storage, 0).tell(late, 0.0)
    after = CmaEs(storage, SPACE, STARTUP, 0).optimizer(_complete(storage), maximize=False)
    assert np.array_equal(before.mean, after.mean)
    assert before.generation == after.generation == 1
    trials = opened(storage, 0).trials
    assert generations(trials)[STARTUP:] == [0] * (size + 1) + [1]
    assert len({trial.params["lr"] for trial in running}) == len(running)
    assert next_one.params["lr"] not in {trial.params["lr"] for trial in running}


def _complete(storage: BaseStorage) -> list[FrozenTrial]:
    return opened(storage, 0).get_trials(states=[TrialState.COMPLETE])


@pytest.mark.parametrize("space", [
    FloatDistribution(1e-5, 0.1, log=True), FloatDistribution(-1, 3), FloatDistribution(0.0, 0.3, step=0.1),
    IntDistribution(1, 4), IntDistribution(32, 128, step=32), IntDistribution(1, 1000, log=True),
], ids=str)  # fmt: skip
def test_value_lies_where_it_came_from(space: FloatDistribution | IntDistribution) -> None:
    for value in (space.low, space.high):
        assert _value(space, _coordinate(space, value)) == pytest.approx(value)
    for coordinate in np.linspace(0, 1, 41):
        value = _value(space, coordinate)
        assert space._contains(value)
        assert isinstance(value, int) == isinstance(space, IntDistribution)
        if space.step is None:
            assert _coordinate(space, value) == pytest.approx(coordinate)


def test_single_parameter_can_be_searched() -> None:
    storage = InMemoryStorage()
    study = optuna.create_study(storage=storage)
    for seed in range(30):
        study.sampler = CmaEs(storage, {"x": FloatDistribution(0, 1)}, 2, seed)
        trial = study.ask()
        study.tell(trial, (trial.suggest_float("x", 0, 1) - 0.7) ** 2)
    assert abs(study.best_params["x"] - 0.7) < 0.01
