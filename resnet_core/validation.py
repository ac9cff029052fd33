"""What pydantic finds wrong with a file or an environment, in our words."""

import difflib
from collections.abc import Callable, Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

LONGEST_VALUE = 200  # characters of a wrong value that are shown


def explain(
    error: ValidationError,
    model: type[BaseModel],
    *,
    spell: Callable[[str], str] = str,
    missing: str = "needed, but not given",
) -> list[str]:
    """A line for each fault: the key, the value, what is allowed.

    Args:
        error: what validation against `model` has raised.
        model: its fields are suggested for a key that it does not know.
        spell: writes a key as the user does.
        missing: what is said of a key that is needed.

    """
    lines = []
    for fault in error.errors():
        if fault["type"] == "default_factory_not_called":  # its field depends on another that has a line of its own
            continue
        location, known = _locate(model, fault)
        key, value = spell(".".join(location)), _shortened(fault["input"])
        match fault["type"]:
            case "extra_forbidden":
                close = difflib.get_close_matches(location[-1], known, n=1)
                meant = f"did you mean {close[0]}? " if close else ""
                lines.append(f"{key}={value}: unknown key; {meant}allowed: {', '.join(known)}")
            case "missing":
                lines.append(f"{key}: {missing}")
            case "value_error":  # raised by a validator of ours, whose message begins with a key
                message = _message(fault)
                prefix = f"{key}." if key and not message.startswith(spell(location[0])) else ""
                lines.append(f"{prefix}{message}")
            case _ if key:
                message = _message(fault)
                lines.append(f"{key}={value}: {message[0].lower()}{message[1:]}")
            case _:
                lines.append(_message(fault))
    return lines


def first_message(error: ValidationError) -> str:
    """What is wrong with the first faulty field, for a caller that names key and value itself."""
    return _message(error.errors()[0])


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys of a model as files write them."""
    return list(_fields(model))


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _message(fault: ErrorDetails) -> str:
    return fault["msg"].removeprefix("Value error, ")


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _locate(model: type[BaseModel], fault: ErrorDetails) -> tuple[list[str], list[str]]:
    """The keys that lead to the fault, and the keys that are allowed in the section it is in."""
    location: list[str] = []
    sections = [model]
    for part in map(str, fault["loc"]):
        if part in [section.__name__ for section in sections]:  # the tag by which a union has chosen a model
            continue
        location.append(part)
        field = next((fields[part] for fields in map(_fields, sections) if part in fields), None)
        if field is not None:
            sections = list(_models_in(field.annotation))
    return location, list(dict.fromkeys(key for section in sections for key in keys_of(section)))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type is made of: those of a union, or of a list's or a dictionary's values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
