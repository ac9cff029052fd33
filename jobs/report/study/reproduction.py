"""The command that runs the same experiment again."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

from jobs.experiment.experiment import Experiment
from jobs.experiment.load import dump_experiment, load_experiment, preset_names

LONGEST_COMMAND = 500  # characters; beyond, a file says it better


@dataclass(frozen=True)
class Reproduction:
    """`command` needs no file where a preset comes close, else `yaml` saved as experiment.yaml."""

    command: str
    yaml: str
    needs_file: bool


def reproduction(experiment: Experiment) -> Reproduction:
    yaml = dump_experiment(experiment)
    preset, overrides = min(
        ((name, _overrides(name, experiment)) for name in preset_names()), key=lambda pair: sum(map(len, pair[1]))
    )
    words = ["resnet-sweep", "local", "--preset", preset]
    for override in overrides:
        words += ["--set", override]
    command = shlex.join(words)
    if len(command) > LONGEST_COMMAND:
        return Reproduction("resnet-sweep local --config experiment.yaml", yaml, needs_file=True)
    return Reproduction(command, yaml, needs_file=False)


def _overrides(preset: str, experiment: Experiment) -> list[str]:
    """What has to be changed in the preset."""
    theirs = load_experiment(preset, None, []).model_dump(mode="json")
    changed: list[str] = []
    space = {
        name: parameter.model_dump(mode="json", exclude_defaults=True)
        for name, parameter in experiment.search_space.items()
    }

    def compare(mine: dict[str, Any], theirs: dict[str, Any], path: str) -> None:
        for key, value in mine.items():
            name = f"{path}{key}"
            if value == theirs[key]:
                continue
            if name == "searchSpace":
                changed.append(f"{name}={json.dumps(space, ensure_ascii=False)}")
            elif isinstance(value, dict):
                compare(value, theirs[key], f"{name}.")
            else:
                changed.append(f"{name}={json.dumps(value, ensure_ascii=False)}")

    compare(experiment.model_dump(mode="json"), theirs, "")
    return changed
