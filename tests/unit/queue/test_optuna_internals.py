"""What we rely on among Optuna's private parts. A failure here means that Optuna has changed it."""

import ast
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.orm import Session

from jobs.queue.optuna_internals import TrialRow, ValueRow, known_trial, trial_id
from jobs.queue.trial_cache import TrialCache

JOBS = Path(__file__).parents[3] / "jobs"
PRIVATE = {"_rdb", "_trial_id", "_study_id", "_cached_frozen_trial", "_storage", "get_storage"}


@pytest.fixture
def storage(tmp_path: Path) -> RDBStorage:
    return RDBStorage(f"sqlite:///{tmp_path}/study.db")


def test_id_of_a_trial_is_its_key_in_the_database(storage: RDBStorage) -> None:
    study = optuna.create_study(storage=storage, study_name="a")
    optuna.create_study(storage=storage, study_name="b").ask()
    trial = study.ask()
    assert trial.number == 0
    assert trial_id(trial) == trial_id(study.trials[0]) == 2


def test_state_and_values_are_those_of_when_the_trial_was_taken_up(storage: RDBStorage) -> None:
    study = optuna.create_study(storage=storage)
    first = study.ask()
    first.report(0.25, 1)
    again = optuna.trial.Trial(study, trial_id(first))
    assert known_trial(again).state is TrialState.RUNNING
    assert known_trial(again).intermediate_values == {1: 0.25}
    first.report(0.5, 2)
    assert known_trial(again).intermediate_values == {1: 0.25}
    known_trial(again).intermediate_values[2] = 0.5
    assert known_trial(again).intermediate_values == {1: 0.25, 2: 0.5}


def test_cache_takes_writes_only_for_trials_that_it_has_read(storage: RDBStorage) -> None:
    trial = optuna.create_study(storage=storage, study_name="a").ask()
    other = TrialCache(storage)
    study = optuna.load_study(study_name="a", storage=other)
    study.get_trials(deepcopy=False)
    other.set_trial_intermediate_value(trial_id(trial), 1, 0.5)
    assert study.trials[0].intermediate_values == {1: 0.5}


def test_sessions_write_trials_and_values_as_these_rows(storage: RDBStorage) -> None:
    new: list[type] = []
    changed: list[type] = []

    def after_flush(session: Session, _context: object) -> None:
        new.extend(type(row) for row in session.new)
        changed.extend(type(row) for row in session.dirty)

    event.listen(storage.scoped_session, "after_flush", after_flush)
    study = optuna.create_study(storage=storage)
    trial = study.ask()
    trial.report(0.5, 1)
    assert TrialRow in new
    assert ValueRow in new
    study.tell(trial, 0.5)
    assert TrialRow in changed


def test_private_parts_of_optuna_are_used_in_one_module() -> None:
    users = set()
    for file in JOBS.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = {node.attr} if isinstance(node, ast.Attribute) else set()
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("optuna"):
                names = {*node.module.split("."), *(alias.name for alias in node.names)}
            if names & PRIVATE - {"_storage"}:
                users.add(file.relative_to(JOBS).as_posix())
    assert users == {"queue/optuna_internals.py"}
