"""The search space: which fields of recipe and pruning are searched, over which values, and on which condition."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from resnet_core.config import Config

Scalar = bool | int | float | str | None
When = Annotated[
    dict[str, Annotated[tuple[Scalar, ...], Field(min_length=1)]] | None,
    Field(description="Searched only where these parameters have one of these values; default: always."),
]


class Choices(Config):
    """A value out of a list. Its values have no order."""

    choices: tuple[Scalar, ...] = Field(min_length=1)
    when: When = None

    @model_validator(mode="after")
    def _check_unique(self) -> Self:
        if len({(type(choice), choice) for choice in self.choices}) != len(self.choices):
            raise ValueError(f"choices={list(self.choices)}: each value once")
        return self


class Range(Config):
    """A number from `low` to `high`, both included. It is a whole number if the field holds one."""

    low: float
    high: float
    log: bool = Field(False, description="Uniform in the logarithm.")
    step: float | None = Field(None, gt=0, description="Only low, low + step, low + 2 step, …")
    when: When = None

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low={self.low:g}: must be below high={self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low={self.low:g}: above 0 with log=true")
        if self.log and self.step is not None:
            raise ValueError(f"step={self.step:g}: not together with log=true")
        return self


def _without_removed(space: Any) -> Any:
    """The search space without parameters that are null: with null, a file removes what it extends, as in Helm."""
    return {name: value for name, value in space.items() if value is not None} if isinstance(space, dict) else space


def _kind(parameter: Any) -> str:
    is_choices = isinstance(parameter, Choices) or (isinstance(parameter, dict) and "choices" in parameter)
    return "Choices" if is_choices else "Range"


Parameter = Choices | Range
SearchSpace = Annotated[
    dict[str, Annotated[Annotated[Choices, Tag("Choices")] | Annotated[Range, Tag("Range")], Discriminator(_kind)]],
    BeforeValidator(_without_removed),
]


def is_active(parameter: Parameter, parameters: Mapping[str, Scalar]) -> bool:
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
            _check_condition(f"searchSpace.{name}.when.{other}", space, other, values)
    names: list[str] = []
    while len(names) < len(space):
        ready = [name for name in space if name not in names and set(space[name].when or {}) <= set(names)]
        if not ready:
            name = next(name for name in space if name not in names)
            raise ValueError(f"searchSpace.{name}.when: depends on itself")
        names += ready[:1]
    return names


def _check_condition(key: str, space: SearchSpace, other: str, values: Sequence[Scalar]) -> None:
    on = space.get(other)
    if on is None:
        raise ValueError(f"{key}: {other} is not searched; searched are {', '.join(space)}")
    if not isinstance(on, Choices):
        raise ValueError(f"{key}: {other} is a range; a condition needs choices")  # noqa: TRY004
    for value in values:
        if value not in on.choices:
            raise ValueError(f"{key}={value!r}: one of {', '.join(map(str, on.choices))}")


def example_with(space: SearchSpace, name: str, value: Scalar) -> dict[str, Scalar]:
    """The parameters of a trial in which `name` has `value`, and every other parameter its first possible value."""
    fixed = {name: value}
    pending = [name]
    while pending:
        for other, values in (space[pending.pop()].when or {}).items():
            if other not in fixed:
                fixed[other] = values[0]
                pending.append(other)
    parameters: dict[str, Scalar] = {}
    for other in ordered(space):
        if is_active(space[other], parameters):
            parameters[other] = fixed[other] if other in fixed else end_points(space[other])[0]
    return parameters


def end_points(parameter: Parameter) -> tuple[Scalar, ...]:
    """The values by which a parameter is checked: every choice, or both ends of a range."""
    return parameter.choices if isinstance(parameter, Choices) else (parameter.low, parameter.high)


def grid_points(space: SearchSpace) -> list[dict[str, Scalar]]:
    """Every combination of values once; the last parameter changes fastest.

    Raises:
        ValueError: a range has no step.

    """
    axes: list[tuple[Scalar, ...]] = []
    for name, parameter in space.items():
        if isinstance(parameter, Choices):
            axes.append(parameter.choices)
        elif parameter.step is None:
            raise ValueError(f"searchSpace.{name}: sweep.sampler.name=grid needs a step or choices")
        else:
            count = int((parameter.high - parameter.low) / parameter.step + 1e-9) + 1
            axes.append(tuple(parameter.low + parameter.step * index for index in range(count)))
    names = ordered(space)
    points: list[dict[str, Scalar]] = []
    for values in itertools.product(*axes):
        combination = dict(zip(space, values, strict=True))
        active: dict[str, Scalar] = {}
        for name in names:
            if is_active(space[name], active):
                active[name] = combination[name]
        points.append({name: active[name] for name in space if name in active})
    return list({tuple(point.items()): point for point in points}.values())


def space_of(configurations: Sequence[Mapping[str, Scalar]]) -> SearchSpace:
    """The search space of a list of configurations: for each parameter, the values that occur."""
    names = dict.fromkeys(name for configuration in configurations for name in configuration)
    space: SearchSpace = {}
    for name in names:
        values = dict.fromkeys(c[name] for c in configurations if name in c)
        space[name] = Choices(choices=tuple(values))
    return space
