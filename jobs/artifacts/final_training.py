"""What the final training has left among the artifacts. Nothing here imports torch."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from jobs.artifacts import Artifacts
from jobs.artifacts.documents import ModelDocument, read_document
from jobs.artifacts.keys import EPOCHS, OF_CLAIM, final_prefix, model_key
from resnet_core.epoch import EpochResult
from resnet_core.validation import parse_json


def trained_model(artifacts: Artifacts, seed: int) -> ModelDocument | None:
    """What the final training with this seed has left; None where it is not done."""
    key = model_key(seed)
    return read_document(artifacts, key, ModelDocument) if artifacts.exists(key) else None


def trained_trial(artifacts: Artifacts, seed: int) -> int | None:
    """The number of the trial whose final training with this seed is done; None where none is."""
    model = trained_model(artifacts, seed)
    return None if model is None else model.trial.number


def is_trained(artifacts: Artifacts, trial: int, seeds: int) -> bool:
    """Whether the final trainings of a trial are done with all seeds."""
    return all(trained_trial(artifacts, seed) == trial for seed in range(seeds))


def weights_key(model: ModelDocument) -> str:
    """The key of the weights that a `model.json` names."""
    return f"{final_prefix(model.seed)}/{model.weights}"


def epochs_key(model: ModelDocument) -> str:
    """The key of the epochs that a `model.json` names."""
    return f"{final_prefix(model.seed)}/{model.epochs}"


def epochs_text(epochs: Sequence[EpochResult]) -> str:
    """A line for each epoch of a final training."""
    return "".join(json.dumps(asdict(epoch), allow_nan=False) + "\n" for epoch in epochs)


def read_epochs(artifacts: Artifacts, seed: int) -> list[EpochResult]:
    """The epochs of a final training, of the newest claim if it is not done; empty before the first is done."""
    model = trained_model(artifacts, seed)
    key = epochs_key(model) if model else _newest_epochs(artifacts, seed)
    text = artifacts.read_text(key) if key else ""
    return [EpochResult(**parse_json(line)) for line in text.splitlines()]


def _newest_epochs(artifacts: Artifacts, seed: int) -> str:
    found = [match for key in artifacts.listing(final_prefix(seed)) if (match := OF_CLAIM.fullmatch(key))]
    written = [(int(match["fence"]), match[0]) for match in found if match[0] == f"{match['folder']}/{EPOCHS}"]
    return max(written, default=(0, ""))[1]
