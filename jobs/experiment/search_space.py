"""The search space: which fields of recipe, network and pruning are searched, over which values, on which condition."""

import itertools
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from jobs.experiment.values import Value
from resnet_core.config import Config, Flag, Number, PositiveNumber
from resnet_core.validation import shown, shown_key

LARGEST_GRID = 100_000  # points


When = Annotated[
    dict[str, Annotated[tuple[Value, ...], Field(min_length=1)]] | None,
    Field(description="Searched only where these parameters have one of these values; default: always."),
]


class Choices(Config):
    """A value out of a list. Its values have no order."""

    choices: tuple[Value, ...] = Field(min_length=1)
    when: When = None

    @model_validator(mode="after")
    def _check_unique(self) -> Self:
        if len(set(self.choices)) != len(self.choices):  # true, 1 and 1.0 are the same to Optuna
            raise ValueError(f"choices={shown(list(self.choices))}: each value once")
        return self


class Range(Config):
    """A number from `low` to `high`, both included. It is a whole number if the field holds one."""

    low: Number
    high: Number
    log: Flag = Field(False, description="Uniform in the logarithm.")
    step: PositiveNumber | None = Field(None, description="Only low, low + step, low + 2 step, …")
    when: When = None

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low={self.low:g}: must be below high={self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low={self.low:g}: above 0 with log=true")
        if self.log and self.step is not None:
            raise ValueError(f"step={self.step:g}: not together with log=true")
        if self.step is not None and self.steps == 0:
            raise ValueError(f"step={self.step:g}: at most {self.high - self.low:g}, from low to high")
        if self.step is not None and _exact(self.reached) != _exact(self.low) + self.steps * _exact(self.step):
            raise ValueError(f"low={self.low!r}: with fewer digits, so that it can be left in steps of {self.step!r}")
        return self

    @property
    def steps(self) -> int:
        """How many steps there are from `low` to `high`; the last may end below `high`."""
        assert self.step is not None
        return int((_exact(self.high) - _exact(self.low)) // _exact(self.step))

    def point(self, steps: int) -> float:
        """The value after so many steps, as it would be written: 0.3 and not 0.30000000000000004."""
        assert self.step is not None
        return float(_exact(self.low) + steps * _exact(self.step))

    @property
    def reached(self) -> float:
        """The largest value: `high`, unless the last step ends below it."""
        return self.high if self.step is None else self.point(self.steps)


def _exact(number: float) -> Fraction:
    return Fraction(repr(number))


def _without_removed(space: Any) -> Any:
    """The search space without parameters that are null: with null, a file removes what it extends, as in Helm."""
    return {name: value for name, value in space.items() if value is not None} if isinstance(space, dict) else space


def _one_kind(parameter: Any) -> Any:
    if isinstance(parameter, dict) and "choices" in parameter and parameter.keys() & {"low", "high", "log", "step"}:
        raise PydanticCustomError("kinds", "choices, or low and high: not both")
    return parameter


def _kind(parameter: Any) -> str:
    is_choices = isinstance(parameter, Choices) or (isinstance(parameter, dict) and "choices" in parameter)
    return "Choices" if is_choices else "Range"


Parameter = Choices | Range
SearchSpace = Annotated[
    dict[
        str,
        Annotated[
            Annotated[Choices, Tag("Choices")] | Annotated[Range, Tag("Range")],
            Discriminator(_kind),
            BeforeValidator(_one_kind),
        ],
    ],
    BeforeValidator(_without_removed),
]


def is_active(parameter: Parameter, parameters: Mapping[str, Value]) -> bool:
    """Whether a trial with these parameters has this one too. They must include those that its condition names."""
    return all(parameters.get(name, _MISSING) in values for name, values in (parameter.when or {}).items())


_MISSING: Any = object()


def ordered(space: SearchSpace) -> list[str]:
    """The names, each after those that its condition names.

    Raises:
        ValueError: a condition names a parameter that is not searched or not a list of choices, or goes in a circle.

    """
    for name, parameter in space.items():
        for other, values in (parameter.when or {}).items():
            _check_condition(f"searchSpace.{shown_key(name)}.when.{shown_key(other)}", space, other, values)
    names: list[str] = []
    while len(names) < len(space):
        ready = [name for name in space if name not in names and set(space[name].when or {}) <= set(names)]
        if not ready:
            name = next(name for name in space if name not in names)
            raise ValueError(f"searchSpace.{shown_key(name)}.when: depends on itself")
        names += ready[:1]
    return names


def _check_condition(key: str, space: SearchSpace, other: str, values: Sequence[Value]) -> None:
    on = space.get(other)
    if on is None:
        raise ValueError(f"{key}: {shown_key(other)} is not searched; searched are {', '.join(map(shown_key, space))}")
    if not isinstance(on, Choices):
        raise ValueError(f"{key}: {shown_key(other)} is a range; a condition needs choices")  # noqa: TRY004
    for value in values:
        if value not in on.choices:
            raise ValueError(f"{key}={shown(value)}: one of {', '.join(map(shown_key, map(str, on.choices)))}")


def example_with(space: SearchSpace, name: str, value: Value, preferred: Mapping[str, Value]) -> dict[str, Value]:
    """The parameters of a trial in which `name` has `value`, unless no trial has what is preferred and it.

    Every other parameter has the preferred value if there is one, else its first possible value.
    """
    wanted = {key: entry for key, entry in preferred.items() if key in space and entry in end_points(space[key])}
    fixed = wanted | {name: value}
    pending = list(fixed)
    while pending:
        for other, values in (space[pending.pop()].when or {}).items():
            if other not in fixed:
                fixed[other] = values[0]
                pending.append(other)
    parameters: dict[str, Value] = {}
    for other in ordered(space):
        if is_active(space[other], parameters):
            parameters[other] = fixed[other] if other in fixed else end_points(space[other])[0]
    return parameters


def end_points(parameter: Parameter) -> tuple[Value, ...]:
    """The values by which a parameter is checked: every choice, or both ends of a range."""
    return parameter.choices if isinstance(parameter, Choices) else (parameter.low, parameter.high)


def grid_points(space: SearchSpace) -> list[dict[str, Value]]:
    """Every combination of values once; the last parameter changes fastest.

    Raises:
        ValueError: a range has no step, or there are more than LARGEST_GRID combinations.

    """
    combinations = 1
    for name, parameter in space.items():
        if isinstance(parameter, Range) and parameter.step is None:
            raise ValueError(f"searchSpace.{shown_key(name)}: sweep.sampler.name=grid needs a step or choices")
        combinations *= len(parameter.choices) if isinstance(parameter, Choices) else parameter.steps + 1
    if combinations > LARGEST_GRID:
        raise ValueError(f"searchSpace: {shown(combinations)} combinations of values, at most {LARGEST_GRID:,}")
    axes: list[tuple[Value, ...]] = [
        parameter.choices
        if isinstance(parameter, Choices)
        else tuple(parameter.point(steps) for steps in range(parameter.steps + 1))
        for parameter in space.values()
    ]
    names = ordered(space)
    points: list[dict[str, Value]] = []
    for values in itertools.product(*axes):
        combination = dict(zip(space, values, strict=True))
        active: dict[str, Value] = {}
        for name in names:
            if is_active(space[name], active):
                active[name] = combination[name]
        points.append({name: active[name] for name in space if name in active})
    return list({tuple(point.items()): point for point in points}.values())


def space_of(configurations: Sequence[Mapping[str, Value]]) -> SearchSpace:
    """The search space of a list of configurations: for each parameter, the values that occur."""
    names = dict.fromkeys(name for configuration in configurations for name in configuration)
    space: SearchSpace = {}
    for name in names:
        values = dict.fromkeys(c[name] for c in configurations if name in c)
        space[name] = Choices(choices=tuple(values))
    return space
