"""Trials that are read by our queries are those that Optuna reads itself."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from jobs.queue.optuna_internals import trial_id
from jobs.queue.trial_rows import read_trial_rows


@pytest.fixture
def storage(tmp_path: Path) -> RDBStorage:
    return RDBStorage(f"sqlite:///{tmp_path}/study.db")


@pytest.fixture
def study(storage: RDBStorage) -> optuna.Study:
    """Trials of every kind, and those of another study between them."""
    study = optuna.create_study(storage=storage, study_name="a", directions=["maximize", "minimize"])
    other = optuna.create_study(storage=storage, study_name="b")
    spaces = {
        "lr": FloatDistribution(0.001, 0.3, log=True),
        "batchSize": IntDistribution(32, 128, step=32),
        "optimizer": CategoricalDistribution(["sgd", "adamw", None]),
    }
    for number in range(3):
        trial = study.ask(spaces)
        trial.set_user_attr("parameters", 10 * number)
        trial.set_constraint("over", number - 1.0)
        for step, value in enumerate((0.5, math.nan, math.inf, -math.inf, 0.75), 1):
            storage.set_trial_intermediate_value(trial_id(trial), step, value)
        other.tell(other.ask(), 1.0)
        study.tell(trial, [0.5 + number, math.inf])
    study.tell(study.ask(spaces), state=TrialState.PRUNED)
    study.tell(study.ask(), state=TrialState.FAIL)
    study.ask(spaces)
    return study


def read(study: optuna.Study, after: int = -1, **which: Any) -> list[FrozenTrial]:
    storage = study._storage
    found = getattr(storage, "_backend", storage)
    with found.engine.connect() as connection:
        return read_trial_rows(connection, study._study_id, after, **which)


def test_they_are_what_optuna_reads(study: optuna.Study) -> None:
    trials = read(study)
    assert len(trials) == 6
    for ours, theirs in zip(trials, study.get_trials(), strict=True):
        assert repr(ours) == repr(theirs)  # in which NaN equals NaN


def test_only_what_is_asked_for_is_read(study: optuna.Study) -> None:
    ids = [trial_id(trial) for trial in study.get_trials()]
    assert [trial_id(trial) for trial in read(study, ids[3])] == ids[4:]
    assert [trial_id(trial) for trial in read(study, ids[3], ids={ids[1]}, numbers={2})] == [*ids[1:3], *ids[4:]]
    assert [trial_id(trial) for trial in read(study, ids[3], running=False)] == [ids[4]]
    assert read(study, ids[-1]) == []


def test_trials_of_the_same_search_space_share_it(study: optuna.Study) -> None:
    first, second, *_ = read(study)
    assert first.distributions["lr"] is second.distributions["lr"]
