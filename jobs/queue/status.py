"""How far a sweep is, and what it has come to."""

import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from jobs.queue.ledger import Usage
from jobs.queue.slots import SlotRow
from jobs.queue.tables import SlotState
from resnet_core.shown_accuracy import percent


@dataclass(frozen=True, kw_only=True)
class TrialStatus(SlotRow):
    """A slot with what Optuna knows of its trial, or of its confirmation; the accuracy is of the validation images.

    `seconds` is how long workers have held the slot.
    """

    work: Literal["trial", "confirmation"] = "trial"
    number: int | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    accuracy: float | None = None
    seconds: float | None

    @property
    def name(self) -> str:
        if self.number is not None:
            return f"{self.work} {self.number}"
        return f"slot {self.slot}" if self.work == "trial" else f"slot {self.slot} of the confirmations"


@dataclass(frozen=True)
class Confirmed:
    """A configuration of the sweep with the accuracies of its complete confirmations, one at least."""

    rank: int  # among the configurations of the sweep, from 1
    trial: TrialStatus  # of the sweep
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.accuracies)


@dataclass(frozen=True)
class SweepStatus:
    trials: list[TrialStatus]
    usage: Usage
    confirmations: list[TrialStatus] = field(default_factory=list)
    validation_images: int | None = None  # that accuracies are of, where it is known

    def count(self, state: SlotState) -> int:
        """How many trials are in this state."""
        return _count(self.trials, state)

    @property
    def all(self) -> list[TrialStatus]:
        """The trials, then the confirmations."""
        return [*self.trials, *self.confirmations]

    @property
    def settled(self) -> int:
        """How many trials and confirmations are settled."""
        return count_settled(self.all)

    @property
    def unsettled(self) -> int:
        """How many trials and confirmations are not."""
        return len(self.all) - self.settled

    @property
    def running(self) -> list[TrialStatus]:
        return [trial for trial in self.all if trial.state is SlotState.RUNNING]

    @property
    def best(self) -> TrialStatus | None:
        """The complete trial of the highest accuracy, the earliest of equals."""
        complete = [trial for trial in self.trials if trial.state is SlotState.COMPLETE]
        return min(complete, key=_place, default=None)

    @property
    def confirmed(self) -> list[Confirmed]:
        """The configurations that have been confirmed, as the sweep ranks them."""
        accuracies: dict[str, list[float]] = {}
        for one in self.confirmations:
            if one.state is SlotState.COMPLETE and one.accuracy is not None:
                accuracies.setdefault(configuration_key(one.parameters), []).append(one.accuracy)
        found = []
        for rank, trial in enumerate(ranking(self.trials) if accuracies else [], 1):
            own = accuracies.get(configuration_key(trial.parameters))
            if own is not None:
                found.append(Confirmed(rank, trial, tuple(own)))
        return found

    @property
    def winner(self) -> Confirmed | None:
        """Of the configurations with the most complete confirmations, that of the best mean; of equals the better rank.

        The sweep's own value is not in the mean, because it was selected for being high.
        """
        return max(self.confirmed, key=lambda one: (len(one.accuracies), one.mean, -one.rank), default=None)

    @property
    def seconds_left(self) -> float | None:
        """An estimate: what is left takes the mean time of the settled ones, as many at once as run now.

        A confirmation takes as long as those that are complete. None before the first trial is settled, or while none
        runs.
        """
        begun = [one for one in self.all if one.state.settled and one.number is not None]
        if not begun or not self.running:
            return None
        complete = [one for one in begun if one.state is SlotState.COMPLETE]
        mean, whole = _mean_seconds(begun), _mean_seconds(complete or begun)
        left = mean * self.count(SlotState.WAITING) + whole * _count(self.confirmations, SlotState.WAITING)
        for one in self.running:
            left += max((mean if one.work == "trial" else whole) - (one.seconds or 0.0), 0.0)
        return left / len(self.running)

    def percent(self, accuracy: float | None) -> str:
        """An accuracy on the validation images, for people."""
        return percent(accuracy, self.validation_images)

    def trial_line(self, trial: TrialStatus) -> str:
        """One of its settled trials or confirmations in one line."""
        reason = "" if trial.message is None else f": {trial.message}"
        if trial.number is None:
            return f"{trial.name} {trial.state}{reason}"
        accuracy = "" if trial.accuracy is None else f", validation accuracy {self.percent(trial.accuracy)}"
        seconds = "" if trial.seconds is None else f" in {trial.seconds:.0f} s"
        return f"{trial.name} {trial.state}{reason}{accuracy} ({trial.epoch} epochs{seconds}; {parameters_line(trial)})"

    def line(self) -> str:
        """The whole sweep in one line."""
        parts = [f"{count_settled(self.trials)}/{len(self.trials)} trials settled", *_states(self.trials)]
        if self.best is not None:
            parts.append(f"best {self.percent(self.best.accuracy)} ({self.best.name})")
        if self.confirmations:
            settled = count_settled(self.confirmations)
            parts += [f"{settled}/{len(self.confirmations)} confirmations settled", *_states(self.confirmations)]
        if self.winner is not None:
            parts.append(f"confirmed {self.percent(self.winner.mean)} ({self.winner.trial.name})")
        if self.seconds_left is not None:
            parts.append(f"about {duration(self.seconds_left)} of the sweep left")
        if self.usage.gpu_hours:
            parts.append(f"{self.usage.gpu_hours:.2f} GPU-hours")
        return ", ".join(parts)


def ranking(trials: Sequence[TrialStatus]) -> list[TrialStatus]:
    """The complete trials, the highest accuracy first, the earliest of equals first; each configuration once."""
    complete = [trial for trial in trials if trial.state is SlotState.COMPLETE]
    first: dict[str, TrialStatus] = {}
    for trial in sorted(complete, key=_place):
        first.setdefault(configuration_key(trial.parameters), trial)
    return list(first.values())


def _place(trial: TrialStatus) -> tuple[float, int]:
    return -(trial.accuracy or 0.0), trial.number or 0


def configuration_key(parameters: Mapping[str, Any]) -> str:
    """The parameters as JSON, equal for equal ones."""
    return json.dumps(parameters, sort_keys=True, allow_nan=False)


def count_settled(trials: Sequence[TrialStatus]) -> int:
    return sum(trial.state.settled for trial in trials)


def _count(trials: Sequence[TrialStatus], state: SlotState) -> int:
    return Counter(trial.state for trial in trials)[state]


def _states(trials: Sequence[TrialStatus]) -> list[str]:
    return [f"{_count(trials, state)} {state}" for state in SlotState if _count(trials, state)]


def _mean_seconds(trials: Sequence[TrialStatus]) -> float:
    return statistics.fmean(trial.seconds or 0.0 for trial in trials)


def parameters_line(trial: TrialStatus) -> str:
    short = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in trial.parameters.items()}
    return ", ".join(f"{name}={value}" for name, value in short.items())


def duration(seconds: float) -> str:
    """For people: 45 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
