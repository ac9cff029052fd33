"""What a result consists of, by its keys below the study."""

import json

from jobs.artifacts import Artifacts
from resnet_core.epoch import EpochResult

EXPERIMENT = "experiment.yaml"
FINAL = "final"
METRICS = "evaluation/metrics.json"
REPORT = "evaluation/report.html"
SUMMARY = "evaluation/summary.md"
TRIALS = "evaluation/trials.csv"
FIGURES = "evaluation/figures"


def final_prefix(seed: int) -> str:
    """Where the final training of a seed lies; seeds are counted from 0."""
    return f"{FINAL}/seed-{seed}"


def model_key(seed: int) -> str:
    """Written last: where it lies, the final training of the seed is done."""
    return f"{final_prefix(seed)}/model.json"


def weights_key(seed: int) -> str:
    return f"{final_prefix(seed)}/model.safetensors"


def epochs_key(seed: int) -> str:
    return f"{final_prefix(seed)}/epochs.jsonl"


def trained_trial(artifacts: Artifacts, seed: int) -> int | None:
    """The number of the trial whose final training with this seed is done."""
    key = model_key(seed)
    return int(artifacts.read_json(key)["trial"]["number"]) if artifacts.exists(key) else None


def is_trained(artifacts: Artifacts, trial: int, seeds: int) -> bool:
    """Whether the final trainings of a trial are done, all of them."""
    return all(trained_trial(artifacts, seed) == trial for seed in range(seeds))


def read_epochs(artifacts: Artifacts, seed: int) -> list[EpochResult]:
    """The course of the final training; empty before its first epoch is done."""
    key = epochs_key(seed)
    text = artifacts.read_text(key) if artifacts.exists(key) else ""
    return [EpochResult(**json.loads(line)) for line in text.splitlines()]
