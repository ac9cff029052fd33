"""The trials that figures of a sweep show, and the axes on which a parameter's value has its position."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.colors import LinearSegmentedColormap

from resnet_core.figures.exhibit import short
from resnet_core.shown_accuracy import in_percent, percent

COMPLETE, STOPPED_EARLY = "complete", "stopped early"
# Colours for accuracies from orange over purple to dark blue. All of them can be seen on white, and they get darker.
ACCURACIES = LinearSegmentedColormap.from_list("accuracies", ["#e8890c", "#c2477f", "#5b3d9e", "#0b2e6f"])


@dataclass(frozen=True)
class TrialPoint:
    """A trial that has begun.

    `accuracy` is that of its last epoch on the validation images. `sizes` are its network's, as far as they are known:
    `parameters` and `macs`.
    """

    number: int
    state: str
    accuracy: float | None
    parameters: Mapping[str, Any]
    by_epoch: Mapping[int, float]
    sizes: Mapping[str, float] = field(default_factory=dict)
    images: int | None = None  # that accuracies are of, as far as it is known

    @property
    def percent(self) -> float | None:
        """The accuracy as tables have it."""
        return in_percent(self.accuracy, self.images)

    def describe(self) -> str:
        parameters = ", ".join(f"{name}={short(value)}" for name, value in self.parameters.items())
        return f"{self.outcome()}; {parameters}" if parameters else self.outcome()

    def outcome(self) -> str:
        accuracy = "" if self.accuracy is None else f" {percent(self.accuracy, self.images)}"
        return f"trial {self.number}:{accuracy} {self.state}"


@dataclass(frozen=True)
class Axis:
    """A searched parameter, which is a range or a list of choices, as an axis from 0 to 1."""

    name: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: tuple[Any, ...] | None = None

    @classmethod
    def of_choices(cls, name: str, choices: Sequence[Any]) -> "Axis":
        """The axis of these choices. If all are numbers it is a range, else they are evenly spaced."""
        numbers = [value for value in choices if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(numbers) < len(choices) or len(numbers) < 2:
            return cls(name, choices=tuple(choices))
        low, high = min(numbers), max(numbers)
        return cls(name, low, high, log=low > 0 and high / low >= 100)

    def position(self, value: Any) -> float:
        """The position of a value, from 0 to 1."""
        if self.choices is not None:
            return (self.choices.index(value) + 0.5) / len(self.choices)
        scale = math.log if self.log else float
        return (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))

    def ticks(self) -> list[tuple[float, str]]:
        """Positions, and what is written at each."""
        if self.choices is not None:
            return [(self.position(choice), str(choice)) for choice in self.choices]
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        return [(self.position(value), f"{value:.3g}") for value in (self.low, middle, self.high)]


def spread(trial: TrialPoint, axis: Axis) -> float:
    """How far beside its choice a trial is drawn, so that trials with the same choice do not hide each other."""
    return 0.0 if axis.choices is None else (trial.number * 7 % 11 - 5) / 11 * 0.2 / len(axis.choices)


def varied(axes: Sequence[Axis], trials: Sequence[TrialPoint]) -> list[Axis]:
    """The parameters in which the trials differ. A trial without a parameter differs from all that have it."""
    return [axis for axis in axes if len({(trial.parameters.get(axis.name, math.nan)) for trial in trials}) > 1]
