"""The values of parameters in Optuna's storage, whose categorical choices are scalars: there a list is its JSON text.

The text is the same for equal lists, in every process and version. Whoever samples writes it and whoever reads trials
reads it here, so that everything else (slots, model.json, trials.csv, reports, `status`) has the list.
"""

import json
from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial

from jobs.experiment.values import ListValue, Scalar, Value
from resnet_core.validation import parse_json


def stored_value(value: Value) -> Scalar:
    return json.dumps(value, allow_nan=False) if isinstance(value, list | tuple) else value


def value_of(stored: Any) -> Any:
    """What `stored_value` was given; no text of an experiment begins as a list does."""
    return ListValue(parse_json(stored)) if isinstance(stored, str) and stored.startswith("[") else stored


def stored_parameters(parameters: Mapping[str, Value]) -> dict[str, Scalar]:
    return {name: stored_value(value) for name, value in parameters.items()}


def parameters_of(trial: FrozenTrial) -> dict[str, Any]:
    """The parameters of a trial as the experiment has them."""
    return {name: value_of(stored) for name, stored in trial.params.items()}
