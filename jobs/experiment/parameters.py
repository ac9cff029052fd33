"""The parameters of trials: which fields they can be, and how their values are put into recipe and pruning."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from jobs.experiment.search_space import Scalar
from resnet_core.config import Config, PruningConfig, TrainingConfig
from resnet_core.validation import first_message

AMOUNT_OF_BLOCK = re.compile(r"pruning\.amounts\.(0|[1-9][0-9]{0,3})")


def searchable_fields() -> list[str]:
    """Every name that a search space can hold, except `pruning.amounts.<block>`, the amount of one block."""

    def leaves(model: type[Config], prefix: str) -> list[str]:
        names = []
        for field in model.model_fields.values():
            name = f"{prefix}{field.alias}"
            nested = field.annotation
            if isinstance(nested, type) and issubclass(nested, Config):
                names += leaves(nested, f"{name}.")
            else:
                names.append(name)
        return names

    return leaves(TrainingConfig, "") + leaves(PruningConfig, "pruning.")


def put_parameters(
    training: TrainingConfig, pruning: PruningConfig, blocks: int, parameters: Mapping[str, Scalar]
) -> tuple[TrainingConfig, PruningConfig]:
    """Recipe and pruning with the parameters of a trial put in.

    If the trial has a pruning method of its own, `amounts` and `target` stay only where that method needs them.

    Args:
        training: the recipe.
        pruning: of the network.
        blocks: how many the network has.
        parameters: by the names of `searchable_fields` and `pruning.amounts.<block>`.

    Raises:
        ValueError: a name is not among these, or its value is not allowed.

    """
    trees = {"training": training.model_dump(), "pruning": pruning.model_dump()}
    if any(AMOUNT_OF_BLOCK.fullmatch(name) for name in parameters):
        if "pruning.amounts" in parameters:
            raise ValueError("pruning.amounts, one amount for all blocks, not together with amounts of single blocks")
        amounts = list(pruning.amounts or (0.0,))
        trees["pruning"]["amounts"] = amounts * blocks if len(amounts) == 1 else amounts
    for name, value in parameters.items():
        _put(trees["pruning" if name.startswith("pruning.") else "training"], name, value)
    method = parameters.get("pruning.method")
    if method is not None:
        trees["pruning"] |= {key: None for key in ("amounts", "target") if key != method}
    try:
        return TrainingConfig.model_validate(trees["training"]), PruningConfig.model_validate(trees["pruning"])
    except ValidationError as error:
        raise ValueError(first_message(error)) from None


def field_of(training: TrainingConfig, pruning: PruningConfig, name: str) -> Any:
    """The value of the field `name`. A single pruning amount for all blocks is given as a number."""
    section: Any = (pruning if name.startswith("pruning.") else training).model_dump()
    for key in _path(name):
        section = section[int(key)] if isinstance(section, tuple) else section[key]
    return section[0] if isinstance(section, tuple) and len(section) == 1 else section


def _put(tree: dict[str, Any], name: str, value: Scalar) -> None:
    if block := AMOUNT_OF_BLOCK.fullmatch(name):
        amounts = tree["amounts"]
        if int(block[1]) >= len(amounts):
            raise ValueError(f"the network has {len(amounts)} blocks, counted from 0")
        amounts[int(block[1])] = value
        return
    section: Any = tree
    *sections, last = _path(name)
    for key in sections:
        section = section.get(key)
        if not isinstance(section, dict):
            break
    if not isinstance(section, dict) or last not in section or isinstance(section[last], dict):
        raise ValueError(f"no field of training or pruning: {', '.join(searchable_fields())}")
    section[last] = value


def _path(name: str) -> list[str]:
    return name.removeprefix("pruning.").split(".")
