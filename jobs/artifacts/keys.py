"""Where each object of a study lies. Keys are counted from the study's folder, but for those of data set images."""

import re

EXPERIMENT = "experiment.yaml"
DATASET = "dataset.json"
MANIFEST = "manifest.json"
LOGS = "logs"
DATABASE = "study.db"  # where a local run keeps its SQLite file

EVALUATION = "evaluation"
METRICS = f"{EVALUATION}/metrics.json"
PREDICTIONS = f"{EVALUATION}/predictions.csv"
MISTAKES = f"{EVALUATION}/mistakes"
REPORT = f"{EVALUATION}/report.html"
SUMMARY = f"{EVALUATION}/summary.md"
TRIAL_TABLE = f"{EVALUATION}/trials.csv"
FIGURES = f"{EVALUATION}/figures"

MODEL = "model"  # the folder to take away; the keys of its files are counted from it, since it is used by itself
DESCRIPTION, WEIGHTS, ONNX, CARD = "model.json", "model.safetensors", "model.onnx", "README.md"

TRIALS = "trials"


def images_key(source: str, part: str, sha256: str) -> str:
    """The images of a data set, which all studies share: counted from the folder in which the studies lie."""
    return f"datasets/{source}-{part}-{sha256[:16]}.safetensors"


def log_key(stage: str, process: str) -> str:
    return f"{LOGS}/{stage}-{process}.log"


def trial_prefix(number: int) -> str:
    return f"{TRIALS}/{number}"


def trial_epochs_key(number: int) -> str:
    return f"{trial_prefix(number)}/epochs.jsonl"


def final_prefix(seed: int) -> str:
    """The final training of a seed; seeds are counted from 0."""
    return f"final/seed-{seed}"


def final_checkpoints_prefix(seed: int, trial: int) -> str:
    """The checkpoints of a final training with the parameters of a trial, which another trial's must not meet."""
    return f"{final_prefix(seed)}/trial-{trial}"


def model_key(seed: int) -> str:
    """Written last: where it lies, the final training of the seed is done."""
    return f"{final_prefix(seed)}/model.json"


def weights_key(seed: int) -> str:
    return f"{final_prefix(seed)}/model.safetensors"


def epochs_key(seed: int) -> str:
    return f"{final_prefix(seed)}/epochs.jsonl"


def checkpoint_key(prefix: str, fence: int) -> str:
    """What the owner with that fence has saved of a training, which is a trial's or a final one."""
    return f"{prefix}/checkpoint-{fence}.pt"


def outcome_key(prefix: str, fence: int) -> str:
    """How the training has ended for that owner."""
    return f"{prefix}/outcome-{fence}.json"


def checkpoint_fence(key: str) -> int | None:
    """The fence in a checkpoint's key; None for any other key."""
    match = re.search(r"/checkpoint-(\d+)\.pt$", key)
    return int(match[1]) if match else None


def outcome_fence(key: str) -> int | None:
    match = re.search(r"/outcome-(\d+)\.json$", key)
    return int(match[1]) if match else None


def trial_number(key: str) -> int | None:
    """The trial that an object belongs to; None for an object of no trial."""
    match = re.match(rf"{TRIALS}/(\d+)/", key)
    return int(match[1]) if match else None
