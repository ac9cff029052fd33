"""Checkpoints of one training among the artifacts."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from optuna.trial import FrozenTrial, TrialState

from jobs.artifacts import Artifacts

T = TypeVar("T")


class Checkpoints:
    """The newest checkpoint under a prefix, and the outcome of a training that has one.

    Each owner writes under its own fence, so that none overwrites another's; the highest fence counts.
    """

    def __init__(self, artifacts: Artifacts, prefix: str, fence: int = 0) -> None:
        self._artifacts, self._prefix, self._fence = artifacts, prefix, fence

    def save(self, write: Callable[[Path], None]) -> None:
        self._artifacts.write(f"{self._prefix}/checkpoint-{self._fence}.pt", write)

    def load(self, read: Callable[[Path], T]) -> T | None:
        """What `read` makes of the newest checkpoint; None before the first."""
        fence = self._newest("checkpoint", "pt")
        return None if fence is None else self._artifacts.read(f"{self._prefix}/checkpoint-{fence}.pt", read)

    def save_outcome(self, outcome: dict[str, Any]) -> None:
        self._artifacts.write_json(f"{self._prefix}/outcome-{self._fence}.json", outcome)

    def load_outcome(self) -> dict[str, Any] | None:
        """How the training ended, if the owner of the newest checkpoint or a later one has seen it end."""
        fence = self._newest("outcome", "json")
        if fence is None or fence < (self._newest("checkpoint", "pt") or 0):
            return None
        outcome: dict[str, Any] = self._artifacts.read_json(f"{self._prefix}/outcome-{fence}.json")
        return outcome

    def remove(self) -> None:
        for key in self._artifacts.listing(self._prefix):
            if re.search(r"/(checkpoint|outcome)-\d+\.(pt|json)$", key):
                self._artifacts.remove(key)

    def _newest(self, name: str, suffix: str) -> int | None:
        found = [re.search(rf"/{name}-(\d+)\.{suffix}$", key) for key in self._artifacts.listing(self._prefix)]
        return max((int(match[1]) for match in found if match), default=None)


def remove_settled(artifacts: Artifacts, trials: list[FrozenTrial]) -> None:
    """Removes what the finished among all trials of a study no longer need; the best one keeps its checkpoint."""
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    best = max(complete, key=lambda trial: (trial.values[0], -trial.number), default=None)
    keys = artifacts.listing("trials")
    newest = ""
    if best is not None:
        own = [key for key in keys if key.startswith(f"trials/{best.number}/checkpoint-")]
        newest = max(own, key=_fence, default="")
    finished = {trial.number for trial in trials if trial.state.is_finished()}
    for key in keys:
        match = re.fullmatch(r"trials/(\d+)/(checkpoint|outcome)-\d+\.(pt|json)", key)
        if match and int(match[1]) in finished and key != newest:
            artifacts.remove(key)


def _fence(key: str) -> int:
    return int(key.rpartition("-")[2].partition(".")[0])
