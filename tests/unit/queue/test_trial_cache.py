"""What the cache of trials reads, and when."""

from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from jobs.queue.optuna_internals import TrialRow, trial_id
from jobs.queue.trial_cache import TrialCache

COMPLETE, RUNNING = TrialState.COMPLETE, TrialState.RUNNING


@pytest.fixture
def storage(tmp_path: Path) -> RDBStorage:
    return RDBStorage(f"sqlite:///{tmp_path}/study.db")


@pytest.fixture
def study(storage: RDBStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="a")


@pytest.fixture
def looked_at(storage: RDBStorage) -> optuna.Study:
    """The same study, as one that looks at it has it."""
    optuna.create_study(storage=storage, study_name="a", load_if_exists=True)
    return optuna.load_study(study_name="a", storage=TrialCache(storage))


def test_a_trial_is_seen_from_its_beginning_to_its_end(study: optuna.Study, looked_at: optuna.Study) -> None:
    trial = study.ask()
    (seen,) = looked_at.get_trials(deepcopy=False)
    assert (seen.state, seen.intermediate_values) == (RUNNING, {})
    trial.report(0.5, 1)
    (seen,) = looked_at.get_trials(deepcopy=False)
    assert seen.intermediate_values == {1: 0.5}
    study.tell(trial, 0.75)
    (seen,) = looked_at.get_trials(deepcopy=False)
    assert (seen.state, seen.values) == (COMPLETE, [0.75])
    assert looked_at.get_trials(deepcopy=False) == [seen]


def test_who_asks_for_complete_trials_reads_no_others(study: optuna.Study, looked_at: optuna.Study) -> None:
    first, second = study.ask(), study.ask()
    assert looked_at.get_trials(deepcopy=False, states=(COMPLETE,)) == []
    study.tell(second, 1.0)
    (seen,) = looked_at.get_trials(deepcopy=False, states=(COMPLETE,))
    assert seen.number == 1
    study.tell(first, 2.0)  # of a lower id than one that has been read, and not seen before
    assert [trial.number for trial in looked_at.get_trials(deepcopy=False, states=(COMPLETE,))] == [0, 1]


def test_a_trial_that_becomes_visible_late_is_not_missed(
    study: optuna.Study, looked_at: optuna.Study, storage: RDBStorage
) -> None:
    """Its id is given before its transaction ends; by then trials of higher ids may have been read as finished."""
    late, early = study.ask(), study.ask()
    study.tell(early, 1.0)
    study.tell(late, 2.0)
    with storage.engine.begin() as connection:  # as long as its creation cannot be seen
        connection.execute(
            sa.update(TrialRow).where(TrialRow.trial_id == trial_id(storage.get_trial(1))).values(study_id=99)
        )
    assert [trial.number for trial in looked_at.get_trials(deepcopy=False)] == [1]
    with storage.engine.begin() as connection:
        connection.execute(sa.update(TrialRow).where(TrialRow.study_id == 99).values(study_id=1))
    assert [trial.number for trial in looked_at.get_trials(deepcopy=False)] == [0, 1]
