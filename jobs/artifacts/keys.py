"""The key of every object of a study, counted from the study's folder."""

import re

EXPERIMENT = "experiment.yaml"
IDENTITY = "identity"  # which `prepare` writes here and into the database, so that both are known to belong together
DATASET = "dataset.json"
TEST_FILES = "test-files.json"  # the names of the test images, where these are from files
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

MODEL = "model"  # the folder to take away. The keys of its files are counted from it, as it is also used alone.
DESCRIPTION, WEIGHTS, ONNX, CARD = "model.json", "model.safetensors", "model.onnx", "README.md"
EPOCHS = "epochs.jsonl"

TRIALS = "trials"

# Matches checkpoint_key and outcome_key, of which a training has no need once it is over.
TEMPORARY = re.compile(r"(?P<prefix>.+)/(?P<kind>checkpoint|outcome)-(?P<fence>\d+)(-(?P<owner>[^/]+))?\.(pt|json)")
OF_CLAIM = re.compile(r"(?P<folder>.+/claim-(?P<fence>\d+)-[^/]+)/.+")  # an object in a claim_folder


def images_key(source: str, part: str, sha256: str) -> str:
    """The images of a data set, which studies share: this key is counted from the folder of all studies."""
    return f"datasets/{source}-{part}-{sha256[:16]}.safetensors"


def log_key(stage: str, process: str) -> str:
    return f"{LOGS}/{stage}-{process}.log"


def trial_prefix(number: int) -> str:
    return f"{TRIALS}/{number}"


def trial_epochs_key(number: int) -> str:
    return f"{trial_prefix(number)}/{EPOCHS}"


def final_prefix(seed: int) -> str:
    """The folder of a seed's final training; seeds are counted from 0."""
    return f"final/seed-{seed}"


def final_checkpoints_prefix(seed: int, trial: int) -> str:
    """The folder of the checkpoints. Each trial has its own, so that no other trial is continued by mistake."""
    return f"{final_prefix(seed)}/trial-{trial}"


def model_key(seed: int) -> str:
    """It is written last and names the other files: if it is there, the final training of the seed is done."""
    return f"{final_prefix(seed)}/model.json"


def claim_folder(claim: str) -> str:
    """In the folder of a final training: what one claim of it has left, so that no other overwrites it."""
    return f"claim-{claim}"


def checkpoint_key(prefix: str, fence: int, owner: str) -> str:
    """A checkpoint in the folder of a trial or of a final training, written by its owner with that fence."""
    return f"{prefix}/checkpoint-{fence}-{owner}.pt"


def outcome_key(prefix: str, fence: int, owner: str) -> str:
    """How the training has ended, written by its owner with that fence."""
    return f"{prefix}/outcome-{fence}-{owner}.json"
