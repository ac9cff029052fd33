"""Checkpoints of one training among the artifacts."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from jobs.artifacts import Artifacts, keys
from jobs.artifacts.base import T


class Checkpoints:
    """The newest checkpoint under a prefix, and the outcome of a training that has one.

    Each owner of the training writes under its own fence, so that no owner overwrites what another has written. What
    was written under the highest fence counts.
    """

    def __init__(self, artifacts: Artifacts, prefix: str, fence: int = 0) -> None:
        self._artifacts, self._prefix, self._fence = artifacts, prefix, fence

    def save(self, write: Callable[[Path], None]) -> None:
        self._artifacts.write(keys.checkpoint_key(self._prefix, self._fence), write)

    def load(self, read: Callable[[Path], T]) -> T | None:
        """What `read` makes of the newest checkpoint; None before the first."""
        fence = self._newest(keys.checkpoint_fence)
        return None if fence is None else self._artifacts.read(keys.checkpoint_key(self._prefix, fence), read)

    def save_outcome(self, outcome: dict[str, Any]) -> None:
        self._artifacts.write_json(keys.outcome_key(self._prefix, self._fence), outcome)

    def load_outcome(self) -> dict[str, Any] | None:
        """How the training ended; None unless the owner of the newest checkpoint or a later owner has seen it end."""
        fence = self._newest(keys.outcome_fence)
        if fence is None or fence < (self._newest(keys.checkpoint_fence) or 0):
            return None
        outcome: dict[str, Any] = self._artifacts.read_json(keys.outcome_key(self._prefix, fence))
        return outcome

    def remove(self) -> None:
        for key in filter(_is_temporary, self._artifacts.listing(self._prefix)):
            self._artifacts.remove(key)

    def _newest(self, fence_in: Callable[[str], int | None]) -> int | None:
        fences = map(fence_in, self._artifacts.listing(self._prefix))
        return max((fence for fence in fences if fence is not None), default=None)


def remove_settled(artifacts: Artifacts, trials: Iterable[FrozenTrial]) -> None:
    """Removes the checkpoints and outcomes of finished trials, except the newest checkpoint of the best trial.

    Args:
        artifacts: the study's.
        trials: all trials of the study.

    """
    finished = {trial.number: trial for trial in trials if trial.state.is_finished()}
    complete = [trial for trial in finished.values() if trial.state is TrialState.COMPLETE]
    best = max(complete, key=lambda trial: (trial.values[0], -trial.number), default=None)
    temporary = list(filter(_is_temporary, artifacts.listing(keys.TRIALS)))
    own = [key for key in temporary if best is not None and keys.trial_number(key) == best.number]
    fences = {fence: key for key in own if (fence := keys.checkpoint_fence(key)) is not None}
    newest = fences[max(fences)] if fences else None
    for key in temporary:
        if key != newest and keys.trial_number(key) in finished:
            artifacts.remove(key)


def _is_temporary(key: str) -> bool:
    """Whether an object is there only for a training to be continued."""
    return keys.checkpoint_fence(key) is not None or keys.outcome_fence(key) is not None
