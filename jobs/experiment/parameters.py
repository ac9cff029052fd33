"""The parameters of trials: which fields they can be, and how their values are put into recipe, network and pruning."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from jobs.experiment.values import Value
from resnet_core.config import Config, ModelConfig, PruningConfig, TrainingConfig
from resnet_core.validation import first_message, shown

# The names of the fields in these sections begin with the section's; those of the recipe stand alone.
SECTIONS: dict[str, type[Config]] = {"model": ModelConfig, "pruning": PruningConfig}


class Misfit(ValueError):
    """Values that their fields allow do not fit together."""


@dataclass(frozen=True)
class Configuration:
    """What one trial trains: the recipe, the network before pruning, and its pruning.

    Raises:
        Misfit: the network has another number of blocks than there are pruning amounts.

    """

    training: TrainingConfig
    model: ModelConfig
    pruning: PruningConfig

    def __post_init__(self) -> None:
        amounts, blocks = self.pruning.amounts, sum(self.model.depths)
        if amounts is not None and len(amounts) not in (1, blocks):
            raise Misfit(
                f"pruning.amounts={shown(list(amounts))}: {blocks} values expected, one for each block of "
                f"model.depths={shown(list(self.model.depths))}, or one for all"
            )


def searchable_fields() -> list[str]:
    """Every name that a search space can hold, except single values of lists: `<name>.<index>`, counted from 0."""
    recipe = [name for name, _ in _leaves(TrainingConfig, "")]
    return recipe + [name for section, model in SECTIONS.items() for name, _ in _leaves(model, f"{section}.")]


def _leaves(section: type[Config], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for field in section.model_fields.values():
        name, nested = f"{prefix}{field.alias}", field.annotation
        if isinstance(nested, type) and issubclass(nested, Config):
            yield from _leaves(nested, f"{name}.")
        else:
            yield name, field


def _is_list(field: FieldInfo) -> bool:
    return any(get_origin(kind) is tuple for kind in (field.annotation, *get_args(field.annotation)))


_LISTS = [
    name for section, model in SECTIONS.items() for name, field in _leaves(model, f"{section}.") if _is_list(field)
]
ENTRY = re.compile(rf"({'|'.join(map(re.escape, _LISTS))})\.(0|[1-9][0-9]{{0,3}})")  # a single value of a list


def put_parameters(base: Configuration, parameters: Mapping[str, Value]) -> Configuration:
    """The base with the parameters of a trial put in.

    Single stages and blocks are put into the lists that the trial would have without them: widths as they follow from
    `model.width`, one amount as that of every block. If the trial has a pruning method of its own, `amounts` and
    `target` stay only where that method needs them.

    Args:
        base: what the experiment fixes.
        parameters: by the names of `searchable_fields`, and `<name>.<index>` for a single value of a list.

    Raises:
        ValueError: a name is not among these, or its value is not allowed.
        Misfit: they do not fit together.

    """
    trees = {name: getattr(base, name).model_dump() for name in ("training", "model", "pruning")}
    entries: dict[str, dict[int, Value]] = {}  # by the list's name
    for name, value in parameters.items():
        if entry := ENTRY.fullmatch(name):
            entries.setdefault(entry[1], {})[int(entry[2])] = value
        else:
            _put(trees, name, value)
    for name in entries.keys() & parameters.keys():
        raise Misfit(f"{name}: not together with single values of it, as {name}.{min(entries[name])}")
    if "model.width" in parameters and trees["model"]["widths"] is not None:
        raise Misfit("model.width: without effect where model.widths are given")
    try:
        stages = ModelConfig.model_validate(trees["model"]).stage_widths if "model.widths" in entries else ()
        for name in [name for name in entries if name.startswith("model.")]:
            _put_entries(trees, name, entries.pop(name), stages if name == "model.widths" else None, "stages")
        model = ModelConfig.model_validate(trees["model"])
        for name, values in entries.items():
            amounts, blocks = trees["pruning"]["amounts"] or (0.0,), sum(model.depths)
            spread = amounts * blocks if len(amounts) == 1 else amounts
            _put_entries(trees, name, values, spread if name == "pruning.amounts" else None, "blocks")
        method = parameters.get("pruning.method")
        if method is not None:
            trees["pruning"] |= {key: None for key in ("amounts", "target") if key != method}
        training = TrainingConfig.model_validate(trees["training"])
        pruning = PruningConfig.model_validate(trees["pruning"])
    except ValidationError as error:
        kind = Misfit if error.errors()[0]["type"] == "value_error" else ValueError  # the first is raised by our checks
        raise kind(first_message(error)) from None
    return Configuration(training, model, pruning)


def field_of(configuration: Configuration, name: str) -> Any:
    """The value of the field `name`. A single pruning amount for all blocks is given as a number."""
    section, path = _path(name)
    field: Any = getattr(configuration, section).model_dump()
    for key in path:
        field = field[int(key)] if isinstance(field, tuple) else field[key]
    return field[0] if name == "pruning.amounts" and isinstance(field, tuple) and len(field) == 1 else field


def _put(trees: dict[str, dict[str, Any]], name: str, value: Value) -> None:
    tree, last = _section(trees, name)
    tree[last] = value


def _put_entries(
    trees: dict[str, dict[str, Any]], name: str, values: Mapping[int, Value], spread: Any, what: str
) -> None:
    """Puts single values into a list, which is `spread` unless that is None."""
    tree, last = _section(trees, name)
    entries = spread if spread is not None else tree[last] or ()
    for index in values:
        if index >= len(entries):
            raise Misfit(f"the network has {len(entries)} {what}, counted from 0")
    tree[last] = tuple(values.get(index, entry) for index, entry in enumerate(entries))


def _section(trees: dict[str, dict[str, Any]], name: str) -> tuple[dict[str, Any], str]:
    """Where the field is, and its key there."""
    top, (*sections, last) = _path(name)
    tree: Any = trees[top]
    for key in sections:
        tree = tree.get(key)
        if not isinstance(tree, dict):
            break
    if not isinstance(tree, dict) or last not in tree or isinstance(tree[last], dict):
        raise ValueError(f"no field of training, model or pruning: {', '.join(searchable_fields())}")
    return tree, last


def _path(name: str) -> tuple[str, list[str]]:
    section, _, path = name.partition(".")
    return (section, path.split(".")) if section in SECTIONS else ("training", name.split("."))
