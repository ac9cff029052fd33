"""Values of parameters as they stand in a file: text, numbers, true, false, null, and lists of these."""

import math
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from resnet_core.config import LARGEST_WHOLE, check_text

LONGEST_LIST = 1000  # entries: as many as 8 stages of 125 blocks have

Scalar = bool | int | float | str | None


class ListValue(tuple[Scalar, ...]):
    """A list as the value of one parameter: it can be hashed as a tuple can, and is shown as a list: [64, 128, 256].

    What is written as 64.0 is 64 in it, so that equal lists have one text. Everything but Optuna's storage sees it in
    this form, and JSON and YAML as a list; what Optuna stores is told in `jobs.queue.optuna_values`.
    """

    __slots__ = ()

    def __new__(cls, entries: Iterable[Scalar]) -> "ListValue":
        return super().__new__(cls, map(_plain, entries))

    def __repr__(self) -> str:
        return repr(list(self))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls, handler.generate_schema(tuple[Scalar, ...]))


def _plain(entry: Scalar) -> Scalar:
    return int(entry) if isinstance(entry, float) and entry.is_integer() else entry


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        if value.startswith("["):  # as text, lists could not be told from it where Optuna stores them
            raise PydanticCustomError("scalar", "a list without quotation marks expected, or other text")
        return check_text(value)
    whole = isinstance(value, int) and abs(value) <= LARGEST_WHOLE
    if value is None or whole or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise PydanticCustomError("scalar", "text, a number, true, false, null or a list of these expected")


def _value(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return _scalar(value)
    if len(value) > LONGEST_LIST:
        raise PydanticCustomError("list", f"a list of at most {LONGEST_LIST:,} values expected")
    return ListValue(map(_scalar, value))


Value = Annotated[Scalar | ListValue, BeforeValidator(_value)]
