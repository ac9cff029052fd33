"""The search space as data: which fields of the recipe are searched, and over which values."""

import itertools
from collections.abc import Callable
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from resnet_core.config import Config

Scalar = bool | int | float | str | None


class Choices(Config):
    """One of a list, without an order."""

    choices: tuple[Scalar, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_unique(self) -> Self:
        if len({(type(choice), choice) for choice in self.choices}) != len(self.choices):
            raise ValueError(f"choices={list(self.choices)}: each value once")
        return self


class Range(Config):
    """A number from `low` to `high`, both included; whole numbers where the field holds one."""

    low: float
    high: float
    log: bool = Field(False, description="Uniform in the logarithm.")
    step: float | None = Field(None, gt=0, description="Only low, low + step, low + 2 step, …")

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
    """A parameter set to null is taken out, as Helm takes out a key."""
    return {name: value for name, value in space.items() if value is not None} if isinstance(space, dict) else space


def _kind(parameter: Any) -> str:
    is_choices = isinstance(parameter, Choices) or (isinstance(parameter, dict) and "choices" in parameter)
    return "Choices" if is_choices else "Range"


Parameter = Choices | Range
SearchSpace = Annotated[
    dict[
        str,
        Annotated[Annotated[Choices, Tag("Choices")] | Annotated[Range, Tag("Range")], Discriminator(_kind)],
    ],
    BeforeValidator(_without_removed),
]


def check_parameter(name: str, parameter: Parameter, accepts: Callable[[str, Any], Any]) -> None:
    """Holds both ends of a range, or every choice, against the field that is searched.

    Raises:
        ValueError: there is no such field, or it does not take the value.

    """
    values = parameter.choices if isinstance(parameter, Choices) else (parameter.low, parameter.high)
    for value in values:
        try:
            accepts(name, value)
        except ValueError as error:
            raise ValueError(f"searchSpace.{name}={value!r}: {error}") from None
    value = accepts(name, values[0])
    if isinstance(parameter, Range) and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"searchSpace.{name}: low and high are for numbers; give its choices")  # noqa: TRY004


def grid_points(space: SearchSpace) -> list[dict[str, Scalar]]:
    """Every combination of the values, the last parameter changing fastest.

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
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*axes)]
