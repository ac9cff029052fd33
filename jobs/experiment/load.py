"""Experiments as files: presets, a file of one's own, and single keys set on the command line."""

import re
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jobs.experiment.core_yaml import DEEPEST, dump_yaml, parse_yaml
from jobs.experiment.experiment import Experiment, name_from
from jobs.experiment.search_space import Choices, Range
from jobs.runtime.errors import ConfigurationError
from resnet_core.validation import explain, keys_of, read_limited, shown, shown_key

LONGEST_FILE = 2**20  # bytes: a ConfigMap, by which Kubernetes hands an experiment over, holds no more
PARAMETER_KEYS = (*Choices.model_fields, *Range.model_fields)


def preset_names() -> list[str]:
    presets = resources.files("jobs.experiment") / "presets"
    return sorted(Path(preset.name).stem for preset in presets.iterdir() if preset.name.endswith(".yaml"))


def preset_tree(name: str) -> dict[str, Any]:
    """The keys and values of a preset, and of the preset that it extends."""
    text = (resources.files("jobs.experiment") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    own = _parse_mapping(name, text)
    _, extended = _extended(name, own)
    return _merged(extended, own)


def load_experiment(preset: str | None, config: Path | None, overrides: list[str]) -> Experiment:
    """The experiment of a preset or a file, with `key.path=value` overrides put in.

    A file may begin with `extends: <preset>` and give only what differs. Its study is named after the preset or the
    file unless it names one.

    Raises:
        ConfigurationError: a file that is not there or not YAML, a key or a value that is not allowed.

    """
    if config is not None:
        name, own = name_from(config.stem), _read_file(config)
        base, extended = _extended(str(config), own)
    else:
        name, own, base = preset or "quick", {}, preset or "quick"
        if base not in preset_names():
            raise ConfigurationError(f"--preset={shown_key(base)}: one of {', '.join(preset_names())}")
        extended = preset_tree(base)
    tree = _merged(extended, own)
    for override in overrides:
        _set(tree, override)
        _set(own, override)  # which is kept apart only to tell whose a key is
    study = tree.setdefault("study", {})
    if isinstance(study, dict) and study.get("name") is None:
        if not name:
            raise ConfigurationError(f"--config={config}: no study's name is left of this name; give study.name")
        study["name"] = name
    try:
        return validate_experiment(tree)
    except ConfigurationError as error:
        lines = str(error).splitlines()
        raise ConfigurationError(*(_in_their_words(line, overrides, base, extended, own) for line in lines)) from None


def parse_experiment(text: str) -> Experiment:
    """The experiment that `dump_experiment` wrote."""
    return validate_experiment(_parse_mapping("experiment.yaml", text))


def validate_experiment(tree: Any) -> Experiment:
    try:
        return Experiment.model_validate(tree, by_alias=True, by_name=False)
    except ValidationError as error:
        raise ConfigurationError(*explain(error, Experiment)) from None


def dump_experiment(experiment: Experiment) -> str:
    """Every field of the experiment as YAML that `load_experiment` reads back to an equal one."""
    return dump_yaml(experiment.model_dump(mode="json"))


def fields_by_path(experiment: Experiment) -> dict[str, Any]:
    """The value of each field by the path that `--set` takes.

    The search space is one value, without its defaults, and so are `sweep.confirm` and `sweep.stop`, which may be null.
    """

    def walk(tree: dict[str, Any], prefix: str) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key, value in tree.items():
            fields |= walk(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
        return fields

    space = {
        name: parameter.model_dump(mode="json", exclude_defaults=True)
        for name, parameter in experiment.search_space.items()
    }
    whole = {
        f"sweep.{name}": None if part is None else part.model_dump(mode="json")
        for name, part in (("confirm", experiment.sweep.confirm), ("stop", experiment.sweep.stop))
    }
    others = experiment.model_dump(mode="json", exclude={"search_space": True, "sweep": {"confirm", "stop"}})
    return walk(others, "") | {"searchSpace": space} | whole


def _in_their_words(
    line: str, overrides: list[str], base: str | None, extended: dict[str, Any], own: dict[str, Any]
) -> str:
    """A fault with the option as it was typed, or with the preset that its key is from where that is not the user's."""
    for override in overrides:
        path, _, text = override.partition("=")
        begin = f"{'.'.join(map(shown_key, path.split('.')))}={shown(parse_yaml(text))}: "
        if line.startswith(begin):
            return f"--set {shown_key(override)}: {line.removeprefix(begin)}"
    key = re.match(r"[A-Za-z][\w.]*", line)
    if base is None or key is None or _names(own, key[0]) or not _names(extended, key[0], but_null=True):
        return line
    return f"{line}; this is from the preset {base}: set {key[0]} to replace it"


def _names(tree: Any, path: str, *, but_null: bool = False) -> bool:
    """Whether a tree has that key, or a value for the section it is in, with `but_null` other than null."""
    for key in path.split("."):
        if not isinstance(tree, dict):
            return True
        if key not in tree:
            return False
        tree = tree[key]
    return not (but_null and tree is None)


def _read_file(file: Path) -> dict[str, Any]:
    try:
        text = read_limited(file, LONGEST_FILE).decode()
    except OSError as error:
        raise ConfigurationError(f"--config={file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        found = f"byte {error.start + 1} is {error.object[error.start]:#x}"
        raise ConfigurationError(f"--config={file}: not UTF-8: {found}") from None
    except ValueError as error:
        raise ConfigurationError(f"--config={file}: {error}") from None
    return _parse_mapping(str(file), text)


def _extended(source: str, tree: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The preset that a file extends and what that holds; takes the key out of the file's."""
    base = tree.pop("extends", None)
    if base is None:
        return None, {}
    if base not in preset_names():
        raise ConfigurationError(f"{source}: extends={shown(base)}: one of {', '.join(preset_names())}")
    return base, preset_tree(base)


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with the changes. Sections are merged; all else is replaced, also each parameter of the search space."""
    merged = base | changes
    for key in base.keys() & changes.keys():
        old, new = base[key], changes[key]
        if isinstance(old, dict) and isinstance(new, dict):
            merged[key] = old | new if key == "searchSpace" else _merged(old, new)
    return merged


def _set(tree: dict[str, Any], override: str) -> None:
    """Puts `key.path=value` into the tree."""
    path, separator, text = override.partition("=")
    source, keys = f"--set {shown_key(override)}", _keys(path)
    if not separator or not path or len(keys) > DEEPEST:
        raise ConfigurationError(f"{source}: key.path=value expected")
    value = _parse_yaml(source, text)
    *sections, last = keys
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ConfigurationError(f"{source}: {shown_key(section)} holds a value, not keys")
    tree[last] = value


def _keys(path: str) -> list[str]:
    """The keys of a path. The name of a searched field is one key, also if it has a dot: `schedule.warmupEpochs`."""
    section, _, name = path.partition(".")
    if section != "searchSpace" or not name:
        return path.split(".")
    parameter, _, key = name.rpartition(".")
    return [section, parameter, key] if key in PARAMETER_KEYS else [section, name]


def _parse_mapping(source: str, text: str) -> dict[str, Any]:
    tree = _parse_yaml(source, text)
    if not isinstance(tree, dict):
        found = "nothing in it" if tree is None else shown(tree)
        raise ConfigurationError(
            f"{source}: {found}; lines of key: value expected, of {', '.join(keys_of(Experiment))}"
        )
    return tree


def _parse_yaml(source: str, text: str) -> Any:
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise ConfigurationError(f"{source}: {error}") from None
