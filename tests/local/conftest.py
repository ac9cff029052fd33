from pathlib import Path

import pytest

from jobs.artifacts import FolderArtifacts
from jobs.experiment import Experiment
from jobs.experiment_file import load_experiment
from jobs.settings import Settings, read_settings

# A network and a data set small enough for an epoch in a tenth of a second.
TINY = [
    "data.limit=240",
    "data.limitTest=60",
    "model={depths: [1, 1], width: 8, strides: [2, 2]}",
    "pruning={method: amounts, amounts: [0.2, 0.2], target: null}",
    "budget.parameters=10000",
    "training.batchSize=32",
    "searchSpace={lr: {low: 0.001, high: 0.3, log: true}, optimizer: {choices: [sgd, adamw]}}",
    "sweep={trials: 4, epochs: 3, earlyStopping: {name: none}}",
    "finalTrain.epochs=3",
    "evaluation.flip=true",
]


def tiny(*overrides: str) -> Experiment:
    return load_experiment("quick", None, [*TINY, *overrides])


@pytest.fixture
def root(tmp_path: Path) -> FolderArtifacts:
    return FolderArtifacts(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(
        database_url=f"sqlite:///{tmp_path}/study.db", artifacts_url=str(tmp_path), lease_seconds=30, renewal_seconds=5
    )


@pytest.fixture(autouse=True)
def _no_other_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"
