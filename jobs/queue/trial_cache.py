"""Optuna's cache of trials, filled by our queries, and of those that run only for who asks for them.

Optuna's own reads all that a running trial has at every look, also for early stopping, which asks for complete ones.
"""

from collections.abc import Container

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from jobs.queue.optuna_internals import CachedStorage, StudyCache, trial_id
from jobs.queue.trial_rows import read_trial_rows


class TrialCache(CachedStorage):
    """Reads each finished trial once, however late its creation has become visible; what runs is read at every look."""

    def __init__(self, storage: RDBStorage) -> None:
        super().__init__(storage)
        self._engine = storage.engine
        self._wants_running = True

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        self._wants_running = states is None or TrialState.RUNNING in states
        return super().get_all_trials(study_id, deepcopy, states)

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        with self._lock, self._engine.connect() as connection:
            known = self._studies.setdefault(study_id, StudyCache())
            after, unfinished = known.last_finished_trial_id, known.unfinished_trial_ids
            # Numbers are counted, without gaps; ids are given before a trial can be seen.
            gaps = set(range(max(known.trials, default=-1))) - known.trials.keys()
            trials = read_trial_rows(connection, study_id, after, unfinished, gaps, running=self._wants_running)
            self._add_trials_to_cache(study_id, trials)
            finished = {trial_id(trial) for trial in trials if trial.state.is_finished()}
            known.last_finished_trial_id = max(finished, default=after)
            known.unfinished_trial_ids = (unfinished | {trial_id(trial) for trial in trials}) - finished
