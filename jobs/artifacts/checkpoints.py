"""Checkpoints of one training among the artifacts."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from jobs.artifacts import Artifacts
from jobs.artifacts.base import T
from jobs.artifacts.keys import TEMPORARY, TRIALS, checkpoint_key, outcome_key, trial_prefix


class Checkpoints:
    """The newest checkpoint under a prefix, and the outcome of a training that has one.

    Each owner of the training writes under its own name and fence, so that no owner overwrites what another has
    written. What was written under the highest fence counts, if the owner is the one who had that fence: after a
    database has failed over to a standby, there may be objects of owners that it knows nothing of.
    """

    def __init__(self, artifacts: Artifacts, prefix: str, owners: Mapping[int, str]) -> None:
        """`owners` are all that the training has had, by their fences; the one with the highest fence writes."""
        self._artifacts, self._prefix, self._owners = artifacts, prefix, owners
        self._own = max(owners.items())

    def save(self, write: Callable[[Path], None]) -> None:
        self._artifacts.write(checkpoint_key(self._prefix, *self._own), write)

    def load(self, read: Callable[[Path], T]) -> T | None:
        """What `read` makes of the newest checkpoint; None before the first."""
        _, key = self._newest("checkpoint")
        return self._artifacts.read(key, read) if key else None

    def save_outcome(self, outcome: dict[str, Any]) -> None:
        self._artifacts.write_json(outcome_key(self._prefix, *self._own), outcome)

    def load_outcome(self) -> dict[str, Any] | None:
        """How the training ended; None unless the owner of the newest checkpoint or a later owner has seen it end."""
        (fence, key), (of_checkpoint, _) = self._newest("outcome"), self._newest("checkpoint")
        outcome: dict[str, Any] | None = self._artifacts.read_json(key) if key and fence >= of_checkpoint else None
        return outcome

    def _newest(self, kind: str) -> tuple[int, str]:
        """The highest fence of an object of this kind, and its key."""
        matches = [match for match in _temporary(self._artifacts, self._prefix) if match["kind"] == kind]
        known = [match for match in matches if self._is_by_an_owner(match)]
        return max(((int(match["fence"]), match[0]) for match in known), default=(-1, ""))

    def _is_by_an_owner(self, match: re.Match[str]) -> bool:
        if match["owner"] is None:  # written by version 0.1.0
            return True
        return self._owners.get(int(match["fence"])) == match["owner"]


def remove_settled(artifacts: Artifacts, trials: list[FrozenTrial], *, keep_best: bool = True) -> None:
    """Removes checkpoints and outcomes of all finished trials, except the newest checkpoint of the best one.

    Args:
        artifacts: the study's.
        trials: all trials of the study.
        keep_best: whether there is that exception.

    """
    finished = {trial_prefix(trial.number) for trial in trials if trial.state.is_finished()}
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    best = max(complete, key=lambda trial: (trial.values[0], -trial.number), default=None)
    found = _temporary(artifacts, TRIALS)
    kept_prefix = trial_prefix(best.number) if keep_best and best is not None else None
    of_best = [match for match in found if match["prefix"] == kept_prefix]
    newest = max((int(match["fence"]) for match in of_best if match["kind"] == "checkpoint"), default=None)
    kept = {match[0] for match in of_best if match["kind"] == "checkpoint" and int(match["fence"]) == newest}
    for match in found:
        if match["prefix"] in finished and match[0] not in kept:
            artifacts.remove(match[0])


def _temporary(artifacts: Artifacts, prefix: str) -> list[re.Match[str]]:
    return [match for key in artifacts.listing(prefix) if (match := TEMPORARY.fullmatch(key))]
