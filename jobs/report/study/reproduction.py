"""The command that runs the same experiment again."""

import shlex
from dataclasses import dataclass

from jobs.experiment.experiment import Experiment
from jobs.experiment.load import dump_experiment, fields_by_path, load_experiment, preset_names
from resnet_core.shown_text import json_text

LONGEST_COMMAND = 500  # characters; a longer one is replaced by a file


@dataclass(frozen=True)
class Reproduction:
    """`command` runs the experiment again. With `needs_file` it takes `yaml`, saved as experiment.yaml."""

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
    """The arguments of `--set` that make the preset this experiment."""
    theirs = fields_by_path(load_experiment(preset, None, []))
    return [f"{path}={json_text(value)}" for path, value in fields_by_path(experiment).items() if value != theirs[path]]
