"""The model that goes out: what a person takes away and uses without this project's results."""

import logging
import shutil
from pathlib import Path
from typing import Any

from jobs.artifacts import Artifacts
from jobs.artifacts.base import file_sha256
from jobs.artifacts.dataset_record import POINTER, StoredDataset
from jobs.artifacts.keys import model_key, weights_key
from jobs.experiment.experiment import Experiment
from jobs.report.model_card import render_card
from jobs.runtime.errors import Failure
from resnet_core.export import export_onnx
from resnet_core.load import TrainedModel, load_model

FOLDER = "model"
DESCRIPTION, WEIGHTS, ONNX, CARD = "model.json", "model.safetensors", "model.onnx", "README.md"

log = logging.getLogger(__name__)


class WeightsChanged(Failure):
    """The weights are not those that were tested."""


def publish_model(artifacts: Artifacts, experiment: Experiment, metrics: dict[str, Any]) -> None:
    """Writes the network of the chosen seed below `model/`, again if it is there; `model.json` comes last.

    Args:
        artifacts: the study's.
        experiment: what the study was prepared for.
        metrics: what `metrics.json` holds.

    Raises:
        WeightsChanged: the weights are not those that the metrics belong to.

    """
    seed, out = metrics["chosen"], artifacts.under(FOLDER)
    expected = metrics["weightsSha256"]

    def take(weights: Path) -> TrainedModel:
        found = file_sha256(weights)
        if found != expected:
            raise WeightsChanged(
                f"{weights_key(seed)}: sha256 {found}, but {expected} was tested; the file was changed"
            )
        out.write(WEIGHTS, lambda path: shutil.copyfile(weights, path))
        return artifacts.read(model_key(seed), lambda description: load_model(description, weights))

    model = artifacts.read(weights_key(seed), take)
    described = artifacts.read_json(model_key(seed))
    properties = {
        "study": experiment.study_name,
        "dataset": metrics["dataset"],
        "parameters": str(metrics["parameters"]),
        "weightsSha256": expected,
    }
    exported = export_onnx(model, properties)
    out.write(ONNX, lambda path: path.write_bytes(exported))
    dataset = StoredDataset.model_validate(artifacts.read_json(POINTER))
    out.write_text(CARD, render_card(experiment, described, metrics, dataset))
    out.write_json(DESCRIPTION, described | {"weightsSha256": expected})
    log.info("model: %s, safetensors and ONNX, with its card", out.location)
