"""What is wrong with a file or an environment, in our words, and JSON read so that nothing in it is overlooked."""

import difflib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

LONGEST_VALUE = 200  # characters of a wrong value that are shown
LONGEST_KEY = 80


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
    faults = error.errors()
    places = {fault["loc"] for fault in faults}
    for fault in faults:
        if fault["type"] == "default_factory_not_called":  # its field depends on another that has a line of its own
            continue
        if fault["type"] == "too_short" and any(place[:-1] == fault["loc"] for place in places):  # of the good values
            continue
        location, known = _locate(model, fault)
        key, value = spell(".".join(map(shown_key, location))), shown(fault["input"])
        match fault["type"]:
            case "extra_forbidden":
                meant = _meant(location[-1][:LONGEST_VALUE], known, model)
                lines.append(f"{key}={value}: unknown key; {meant}allowed: {', '.join(known)}")
            case "model_type":
                lines.append(f"{key or 'all'}={value}: keys with values expected: {', '.join(known)}")
            case "missing":
                lines.append(f"{key}: {missing}")
            case "value_error":  # raised by a validator of ours, whose message begins with a key
                message = _message(fault)
                prefix = f"{key}." if key and not message.startswith(spell(location[0])) else ""
                lines.append(f"{prefix}{message}")
            case _ if key:
                lines.append(f"{key}={value}: {_message(fault)}")
            case _:
                lines.append(_message(fault))
    return lines


def first_message(error: ValidationError) -> str:
    """What is wrong with the first faulty field, for a caller that names key and value itself."""
    return _message(error.errors()[0])


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys of a model as files write them."""
    return list(_fields(model))


def shown(value: Any) -> str:
    """The value for a message: as a file has it, but without control characters, and not all of it if it is long."""
    return _cut(_written(value), LONGEST_VALUE)


def shown_key(key: str) -> str:
    """The key as it is, unless it is long or would not show."""
    return _cut(key if key.isprintable() else repr(key), LONGEST_KEY)


def read_limited(file: Path, limit: int) -> bytes:
    """The file's content, of which no more is ever read than the limit allows; raises ValueError if there is more."""
    with file.open("rb") as opened:
        content = opened.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"longer than {limit:,} bytes")
    return content


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is no JSON, or has a key twice, a number that is not finite, or thousands of levels.

    """
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_finite, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    except UnicodeDecodeError:
        raise ValueError("not JSON: not UTF-8") from None
    except RecursionError:
        raise ValueError("not JSON: too many levels") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"{shown_key(twice)}: given twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"not JSON: {shown(text)} is not a finite number")
    return value


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


# What is said of the kinds of faults that pydantic finds, by its names for them.
MESSAGES = {
    "greater_than": "above {gt} expected",
    "greater_than_equal": "at least {ge} expected",
    "less_than": "below {lt} expected",
    "less_than_equal": "at most {le} expected",
    "finite_number": "a finite number expected",
    "float_type": "a number expected",
    "float_parsing": "a number expected",
    "int_type": "a whole number expected",
    "int_parsing": "a whole number expected",
    "int_parsing_size": "a whole number of fewer digits expected",
    "int_from_float": "a whole number expected",
    "bool_type": "true or false expected",
    "string_type": "text expected",
    "path_type": "a path expected",
    "literal_error": "one of {expected} expected",
    "dict_type": "keys with values expected",
    "tuple_type": "a list expected",
    "list_type": "a list expected",
    "too_short": "a list of at least {min_length} value expected",
    "too_long": "a list of at most {max_length} values expected",
}


def _meant(key: str, known: list[str], model: type[BaseModel]) -> str:
    """The key that is most like it: of those that are known there, or the same key in another section."""
    elsewhere = [path for path in _paths(model) if path.endswith(f".{key}")]
    close = difflib.get_close_matches(key, known, n=1) or elsewhere
    return f"did you mean {close[0]}? " if close else ""


def _paths(model: type[BaseModel]) -> Iterator[str]:
    for name, field in _fields(model).items():
        yield name
        for nested in _models_in(field.annotation):
            yield from (f"{name}.{path}" for path in _paths(nested))


def _message(fault: ErrorDetails) -> str:
    message = MESSAGES.get(fault["type"])
    if message is None:
        return fault["msg"].removeprefix("Value error, ")
    return message.format_map({name: _limit(value) for name, value in fault.get("ctx", {}).items()})


def _limit(value: Any) -> str:
    """What a field allows: a number, or pydantic's list of choices."""
    if isinstance(value, str):
        return value.replace("'", "").replace(" or ", ", ")
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _written(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_written(each)}' for key, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    if value is None or isinstance(value, bool):
        return {True: "true", False: "false", None: "null"}[value]
    return repr(value)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"


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
