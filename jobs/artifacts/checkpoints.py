"""Checkpoints of one training among the artifacts."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from jobs.artifacts import Artifacts
from jobs.artifacts.base import T
from jobs.artifacts.keys import TEMPORARY, TRIALS, checkpoint_key, outcome_key, trial_prefix


class Checkpoints:
    """The newest checkpoint under a prefix, and the outcome of a training that has one.

    Each owner of the training writes under its own fence, so that no owner overwrites what another has written. What
    was written under the highest fence counts.
    """

    def __init__(self, artifacts: Artifacts, prefix: str, fence: int = 0) -> None:
        self._artifacts, self._prefix, self._fence = artifacts, prefix, fence

    def save(self, write: Callable[[Path], None]) -> None:
        self._artifacts.write(checkpoint_key(self._prefix, self._fence), write)

    def load(self, read: Callable[[Path], T]) -> T | None:
        """What `read` makes of the newest checkpoint; None before the first."""
        key = self.newest_key
        return self._artifacts.read(key, read) if key else None

    @property
    def newest_key(self) -> str:
        """The key of the newest checkpoint; empty before the first."""
        return self._newest("checkpoint")[1]

    def save_outcome(self, outcome: dict[str, Any]) -> None:
        self._artifacts.write_json(outcome_key(self._prefix, self._fence), outcome)

    def load_outcome(self) -> dict[str, Any] | None:
        """How the training ended; None unless the owner of the newest checkpoint or a later owner has seen it end."""
        (fence, key), (of_checkpoint, _) = self._newest("outcome"), self._newest("checkpoint")
        outcome: dict[str, Any] | None = self._artifacts.read_json(key) if key and fence >= of_checkpoint else None
        return outcome

    def remove(self) -> None:
        for match in _temporary(self._artifacts, self._prefix):
            self._artifacts.remove(match[0])

    def _newest(self, kind: str) -> tuple[int, str]:
        """The highest fence of an object of this kind, and its key."""
        matches = _temporary(self._artifacts, self._prefix)
        return max(((int(match["fence"]), match[0]) for match in matches if match["kind"] == kind), default=(-1, ""))


def remove_settled(artifacts: Artifacts, trials: list[FrozenTrial]) -> None:
    """Removes checkpoints and outcomes of all finished trials, except the newest checkpoint of the best one.

    Args:
        artifacts: the study's.
        trials: all trials of the study.

    """
    finished = {trial_prefix(trial.number) for trial in trials if trial.state.is_finished()}
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    best = max(complete, key=lambda trial: (trial.values[0], -trial.number), default=None)
    kept = "" if best is None else Checkpoints(artifacts, trial_prefix(best.number)).newest_key
    for match in _temporary(artifacts, TRIALS):
        if match["prefix"] in finished and match[0] != kept:
            artifacts.remove(match[0])


def _temporary(artifacts: Artifacts, prefix: str) -> list[re.Match[str]]:
    return [match for key in artifacts.listing(prefix) if (match := TEMPORARY.fullmatch(key))]
