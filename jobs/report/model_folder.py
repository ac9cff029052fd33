"""The folder `model/`: the network that goes out, which a person can use without the rest of the result."""

import logging
import shutil
from pathlib import Path

from jobs.artifacts import Artifacts
from jobs.artifacts.base import file_sha256
from jobs.artifacts.dataset_record import StoredDataset
from jobs.artifacts.documents import MetricsDocument, ModelDocument, read_document, write_document
from jobs.artifacts.final_training import weights_key
from jobs.artifacts.keys import CARD, DATASET, DESCRIPTION, MODEL, ONNX, WEIGHTS, model_key
from jobs.experiment.experiment import Experiment
from jobs.queue.status import Confirmed
from jobs.report.model_card import render_card
from jobs.runtime.errors import Failure
from resnet_core.export import export_onnx
from resnet_core.load import TrainedModel, load_model

log = logging.getLogger(__name__)


class WeightsChanged(Failure):
    """The weights are not those that were tested."""


def publish_model(
    artifacts: Artifacts, experiment: Experiment, metrics: MetricsDocument, winner: Confirmed | None = None
) -> None:
    """Writes the network of the chosen seed and all about it into `model/`. `model.json` is written last.

    Args:
        artifacts: the study's.
        experiment: what the study was prepared for.
        metrics: of the study.
        winner: what the confirmations of the sweep have chosen, if there are any.

    Raises:
        WeightsChanged: the weights are not those that the metrics belong to.

    """
    seed, out, expected = metrics.chosen, artifacts.under(MODEL), metrics.weights_sha256
    trained = read_document(artifacts, model_key(seed), ModelDocument)

    def take(weights: Path) -> TrainedModel:
        found = file_sha256(weights)
        if found != expected:
            raise WeightsChanged(
                f"{weights_key(trained)}: sha256 {found}, but {expected} was tested; the file was changed"
            )
        out.write(WEIGHTS, lambda path: shutil.copyfile(weights, path))
        return artifacts.read(model_key(seed), lambda description: load_model(description, weights))

    model = artifacts.read(weights_key(trained), take)
    properties = {
        "study": experiment.study_name,
        "dataset": metrics.dataset,
        "parameters": str(metrics.parameters),
        "weightsSha256": expected,
    }
    exported = export_onnx(model, properties)
    out.write(ONNX, lambda path: path.write_bytes(exported))
    dataset = read_document(artifacts, DATASET, StoredDataset)
    out.write_text(CARD, render_card(experiment, trained, metrics, dataset, winner))
    described = trained.model_dump(exclude_unset=True, exclude={"weights", "epochs", "epochs_sha256"})
    write_document(out, DESCRIPTION, ModelDocument.model_validate(described | {"weights_sha256": expected}))
    log.info("model: %s, safetensors and ONNX, with its card", out.location)
