"""What a result consists of, by its keys below the study."""

import json

from jobs.artifacts import Artifacts
from resnet_core.epoch import EpochResult

EXPERIMENT = "experiment.yaml"
FINAL = "final"
MODEL = f"{FINAL}/model.json"  # written last: where it lies, the final training is done
WEIGHTS = f"{FINAL}/model.safetensors"
EPOCHS = f"{FINAL}/epochs.jsonl"
METRICS = "evaluation/metrics.json"
REPORT = "evaluation/report.html"


def trained_trial(artifacts: Artifacts) -> int | None:
    """The number of the trial whose final training is done."""
    return int(artifacts.read_json(MODEL)["trial"]["number"]) if artifacts.exists(MODEL) else None


def read_epochs(artifacts: Artifacts) -> list[EpochResult]:
    """The course of the final training."""
    return [EpochResult(**json.loads(line)) for line in artifacts.read_text(EPOCHS).splitlines()]
