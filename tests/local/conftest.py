import shutil
from pathlib import Path

import pytest
from PIL import Image

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.documents import MetricsDocument, read_document
from jobs.artifacts.keys import METRICS
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import load_experiment
from jobs.report.model_folder import publish_model
from jobs.runtime.settings import Settings, read_settings
from resnet_core.config import DataConfig
from resnet_core.data import read_source
from tests.support.studies import Studies
from tests.support.trained_result import train_result

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
PUBLISHED = ("data.limit=1000", "finalTrain={seeds: 2, epochs: 8}")  # what the model that goes out is trained with


def tiny(*overrides: str) -> Experiment:
    return load_experiment("quick", None, [*TINY, *overrides])


@pytest.fixture
def root(tmp_path: Path) -> FolderArtifacts:
    return FolderArtifacts(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(
        database_url=f"sqlite:///{tmp_path}/study.db",
        artifacts_url=str(tmp_path),
        lease_seconds=30,
        renewal_seconds=5,
        checkpoint_seconds=0,
    )


@pytest.fixture(autouse=True)
def _no_other_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Studies:
    """Gives a test the copy of a study after one of its stages, where `settings` and `root` find it."""
    return Studies(tmp_path_factory.mktemp("studies"))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> FolderArtifacts:
    """A study of two seeds with its model below `model/`. Tests that change it take a copy."""
    experiment = tiny(*PUBLISHED)
    study = train_result(FolderArtifacts(tmp_path_factory.mktemp("published")), experiment)
    publish_model(study, experiment, read_document(study, METRICS, MetricsDocument))
    return study


@pytest.fixture
def copied(published: FolderArtifacts, tmp_path: Path) -> FolderArtifacts:
    shutil.copytree(published.root, tmp_path / "copied")
    return FolderArtifacts(tmp_path / "copied")


@pytest.fixture(scope="session")
def digit_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve of the test images as PNG files; the digit stands in the name."""
    folder = tmp_path_factory.mktemp("digits")
    test = read_source(DataConfig(source="digits")).test
    files = []
    for number, (pixels, label) in enumerate(zip(test.images[:12], test.labels.tolist(), strict=False)):
        files.append(folder / f"{number:02}-is-{label}.png")
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(files[-1])
    return files
