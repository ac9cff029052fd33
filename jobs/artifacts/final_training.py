"""What the final training has left among the artifacts. Nothing here imports torch."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from jobs.artifacts import Artifacts
from jobs.artifacts.documents import ModelDocument, read_document
from jobs.artifacts.keys import epochs_key, model_key
from resnet_core.epoch import EpochResult
from resnet_core.validation import parse_json


def trained_trial(artifacts: Artifacts, seed: int) -> int | None:
    """The number of the trial whose final training with this seed is done; None where none is."""
    key = model_key(seed)
    return read_document(artifacts, key, ModelDocument).trial.number if artifacts.exists(key) else None


def is_trained(artifacts: Artifacts, trial: int, seeds: int) -> bool:
    """Whether the final trainings of a trial are done with all seeds."""
    return all(trained_trial(artifacts, seed) == trial for seed in range(seeds))


def write_epochs(artifacts: Artifacts, seed: int, epochs: Sequence[EpochResult]) -> None:
    """Writes a line for each epoch of a final training."""
    artifacts.write_text(
        epochs_key(seed), "".join(json.dumps(asdict(epoch), allow_nan=False) + "\n" for epoch in epochs)
    )


def read_epochs(artifacts: Artifacts, seed: int) -> list[EpochResult]:
    """The epochs of a final training; empty before the first is done."""
    key = epochs_key(seed)
    text = artifacts.read_text(key) if artifacts.exists(key) else ""
    return [EpochResult(**parse_json(line)) for line in text.splitlines()]
