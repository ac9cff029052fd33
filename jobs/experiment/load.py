"""Experiments as files: presets, a file of one's own, and single keys set on the command line."""

import difflib
import re
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from jobs.experiment.experiment import Experiment
from jobs.experiment.search_space import Choices, Range
from jobs.runtime.errors import ConfigurationError

PARAMETER_KEYS = (*Choices.model_fields, *Range.model_fields)


def preset_names() -> list[str]:
    presets = resources.files("jobs.experiment") / "presets"
    return sorted(Path(preset.name).stem for preset in presets.iterdir() if preset.name.endswith(".yaml"))


def preset_tree(name: str) -> dict[str, Any]:
    """What the file of a preset says, with what it extends."""
    text = (resources.files("jobs.experiment") / "presets" / f"{name}.yaml").read_text()
    return _extended(name, _parse_yaml(name, text))


def load_experiment(preset: str | None, config: Path | None, overrides: list[str]) -> Experiment:
    """The experiment of a preset or a file, with `key.path=value` overrides put in.

    A file may begin with `extends: <preset>` and give only what differs. Its study is named after the preset or the
    file unless it names one.

    Raises:
        ConfigurationError: a file that is not there or not YAML, a key or a value that is not allowed.

    """
    if config is not None:
        default_name = config.stem.lower()
        try:
            text = config.read_text()
        except OSError as error:
            raise ConfigurationError(f"--config={config}: {error.strerror}") from None
        tree = _extended(str(config), _parse_yaml(str(config), text))
    else:
        default_name = preset or "quick"
        if default_name not in preset_names():
            raise ConfigurationError(f"--preset={default_name}: one of {', '.join(preset_names())}")
        tree = preset_tree(default_name)
    for override in overrides:
        _set(tree, override)
    study = tree.setdefault("study", {})
    if isinstance(study, dict) and study.get("name") is None:
        study["name"] = default_name
    return validate_experiment(tree)


def parse_experiment(text: str) -> Experiment:
    """The experiment that `dump_experiment` wrote."""
    return validate_experiment(_parse_yaml("experiment.yaml", text))


def validate_experiment(tree: Any) -> Experiment:
    try:
        return Experiment.model_validate(tree, by_alias=True, by_name=False)
    except ValidationError as error:
        raise ConfigurationError(explain(error, Experiment)) from None


def dump_experiment(experiment: Experiment) -> str:
    """Every field of the experiment as YAML that `load_experiment` reads back to an equal one."""
    return yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """A line for each fault: the key, the value, what is allowed."""
    lines = []
    for fault in error.errors():
        location = [str(part) for part in fault["loc"] if part not in ("Choices", "Range")]
        message = fault["msg"].removeprefix("Value error, ")
        key = ".".join(location)
        if fault["type"] == "extra_forbidden":
            known = _known_keys(model, location[:-1])
            close = difflib.get_close_matches(location[-1], known, n=1)
            meant = f"did you mean {close[0]}? " if close else ""
            lines.append(f"{key}={fault['input']!r}: unknown key; {meant}allowed: {', '.join(known)}")
        elif fault["type"] == "missing":
            lines.append(f"{key}: needed, but not given")
        elif fault["type"] == "value_error":
            prefix = f"{key}." if location and not message.startswith(location[0]) else ""
            lines.append(f"{prefix}{message}")
        else:
            lines.append(f"{key}={fault['input']!r}: {message[0].lower()}{message[1:]}")
    return "\n".join(lines)


def _parse_yaml(source: str, text: str) -> Any:
    tree = _parse_value(source, text)
    if not isinstance(tree, dict):
        raise ConfigurationError(f"{source}: a mapping with the keys {', '.join(_aliases(Experiment))} expected")
    return tree


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as PyYAML reads it, but with the numbers of YAML 1.2, which need no dot: 1e-5."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+"), list("-+.0123456789")
)


def _parse_value(source: str, text: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{source}: not YAML: {' '.join(str(error).split())}") from None


def _set(tree: dict[str, Any], override: str) -> None:
    path, separator, text = override.partition("=")
    if not separator or not path:
        raise ConfigurationError(f"--set {override}: key.path=value expected")
    value = _parse_value(f"--set {override}", text)
    sections, last = path.split(".")[:-1], path.split(".")[-1]
    if path.startswith("searchSpace."):  # a searched field's own name may hold dots: schedule.warmupEpochs
        name = path.removeprefix("searchSpace.")
        stem, _, end = name.rpartition(".")
        sections, last = (["searchSpace", stem], end) if end in PARAMETER_KEYS else (["searchSpace"], name)
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ConfigurationError(f"--set {override}: {section} holds a value, not keys")
    tree[last] = value


def _extended(source: str, tree: dict[str, Any]) -> dict[str, Any]:
    """With the preset that it extends, if any, below it."""
    base = tree.pop("extends", None)
    if base is None:
        return tree
    if base not in preset_names():
        raise ConfigurationError(f"{source}: extends={base!r}: one of {', '.join(preset_names())}")
    return _over(preset_tree(base), tree)


def _over(base: dict[str, Any], tree: dict[str, Any], *, whole: bool = False) -> dict[str, Any]:
    """`tree` over `base`: sections are merged; lists and searched parameters are replaced as a whole."""
    merged = dict(base)
    for key, value in tree.items():
        below = base.get(key)
        if isinstance(below, dict) and isinstance(value, dict) and not whole:
            value = _over(below, value, whole=key == "searchSpace")  # noqa: PLW2901
        merged[key] = value
    return merged


def _aliases(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _known_keys(model: type[BaseModel], location: list[str]) -> list[str]:
    """The keys that the section at `location` takes."""
    for part in location:
        fields = {field.alias: field.annotation for field in model.model_fields.values()}
        nested = fields.get(part)
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            model = nested
        else:  # below searchSpace
            return list(PARAMETER_KEYS)
    return _aliases(model)
