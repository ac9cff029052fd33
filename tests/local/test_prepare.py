import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.artifacts import FolderArtifacts, keys
from jobs.artifacts.dataset_images import DatasetChanged, load_test_images, load_training_data
from jobs.artifacts.dataset_record import read_dataset
from jobs.experiment.load import load_experiment
from jobs.report.predictions import write_predictions
from jobs.report.study.mistakes import read_mistakes
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.settings import Settings
from jobs.stages import prepare
from tests.local.conftest import tiny
from tests.support.studies import Studies


@pytest.fixture
def truncated_cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cifar")
    (folder / "cifar-10-batches-bin").mkdir()
    np.zeros(3073 * 10, dtype=np.uint8).tofile(folder / "cifar-10-batches-bin/data_batch_1.bin")
    return folder


@pytest.mark.parametrize(
    ("preset", "overrides", "message"),
    [
        (
            "quick",
            ["searchSpace.batchSize={choices: [5000]}"],
            "searchSpace.batchSize=5000: at most 1222, the training images",
        ),
        (
            "quick",
            ["searchSpace={}", "training.batchSize=2000"],
            "training.batchSize=2000: at most 1222, the training images",
        ),
        (
            "quick",
            ["pruning={method: none}"],
            "budget.parameters=60,000: the network has 78,042 parameters, 18,042 too many",
        ),
        ("quick", ["pruning.target=10"], "pruning.target=10: at least "),
        ("quick", ["data.limit=9999"], "data.limit=9999: at most 1438"),
        ("quick", ["data.limitTest=9999"], "data.limitTest=9999: at most 359"),
        (
            "quick",
            ["model.strides=[4, 4, 4]"],
            "model.strides.2=4: at most 2 expected, as images of 32 pixels a side are 2 x 2",
        ),
        ("paper", ["data.path=/nowhere"], "data.path=/nowhere: no cifar-10-batches-bin or cifar-10-batches-py"),
        ("paper", ["data.path={truncated}"], "data_batch_1.bin: 30,730 bytes, 30,730,000 expected"),
        ("paper", ["data={source: imagefolder, path: /nowhere}"], "data.path=/nowhere: No such file or directory"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_written(
    settings: Settings, root: FolderArtifacts, truncated_cifar: Path, preset: str, overrides: list[str], message: str
) -> None:
    filled = [override.replace("{truncated}", str(truncated_cifar)) for override in overrides]
    with pytest.raises(ConfigurationError) as raised:
        prepare.run(load_experiment(preset, None, filled), settings, root)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert list(root.root.iterdir()) == []


def test_device_that_is_not_there_is_refused(settings: Settings, root: FolderArtifacts) -> None:
    with pytest.raises(ConfigurationError, match="DEVICE=cuda:99: this machine has"):
        prepare.run(tiny(), settings.model_copy(update={"device": "cuda:99"}), root)


def test_changed_experiment_is_refused_by_field(settings: Settings, root: FolderArtifacts, studies: Studies) -> None:
    studies.copy(tiny(), after=prepare, to=root)
    with pytest.raises(ConfigurationError) as raised:
        prepare.run(tiny("seed=1", "training.lr=0.5"), settings, root)
    first, second = str(raised.value).splitlines()
    assert first.startswith("seed=1: ")
    assert second.startswith("training.lr=0.5: ")
    assert second.endswith("where it is 0.1; choose another study.name")


def test_every_stage_gets_the_same_split_and_the_test_images_apart(studies: Studies, root: FolderArtifacts) -> None:
    experiment = tiny()
    studies.copy(experiment, after=prepare, to=root)
    stored = read_dataset(root, "quick")
    first, second = (load_training_data(root, experiment, stored, torch.device("cpu")) for _ in range(2))
    assert first.validation is not None
    assert second.validation is not None
    assert torch.equal(first.train.images, second.train.images)
    assert torch.equal(first.validation.images, second.validation.images)
    assert len(first.train) + len(first.validation) == 240
    merged = load_training_data(root, experiment, stored, torch.device("cpu"), merge=True)
    assert (len(merged.train), merged.validation) == (240, None)
    assert torch.equal(merged.mean, first.mean)
    assert len(load_test_images(root, experiment, stored)) == 60


def test_data_set_that_was_changed_is_refused(studies: Studies, root: FolderArtifacts) -> None:
    experiment = tiny()
    studies.copy(experiment, after=prepare, to=root)
    stored = read_dataset(root, "quick")
    file = root.root / stored.train.key
    damaged = bytearray(file.read_bytes())
    damaged[-1] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(DatasetChanged, match=r"datasets/digits-train-.*: sha256 .*; the file was changed"):
        load_training_data(root, experiment, stored, torch.device("cpu"))


def test_stored_images_that_are_not_the_right_ones_are_written_anew(
    settings: Settings, root: FolderArtifacts, studies: Studies
) -> None:
    experiment = tiny()
    studies.copy(experiment, after=prepare, to=root)
    stored = read_dataset(root, "quick")
    root.write_text(stored.train.key, "cut short")
    prepare.run(tiny("study.name=another"), settings, root)
    assert read_dataset(root, "another") == stored
    load_training_data(root, experiment, stored, torch.device("cpu"))


def test_source_is_read_once(
    settings: Settings, root: FolderArtifacts, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("images")
    for part in ("train", "test"):
        for shade, name in enumerate(("cats", "dogs")):
            (folder / part / name).mkdir(parents=True)
            for number in range(10):
                Image.new("RGB", (32, 32), (shade * 200, number, 9)).save(folder / part / name / f"{number}.png")
    experiment = load_experiment("quick", None, [
        f"data={{source: imagefolder, path: {folder}, title: shades}}", "training.batchSize=8", "searchSpace={}",
    ])  # fmt: skip
    prepare.run(experiment, settings, root)
    shutil.rmtree(folder)
    prepare.run(experiment, settings, root)
    assert read_dataset(root, "quick").title == "shades"


def test_test_images_go_by_their_files(settings: Settings, root: FolderArtifacts, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for part in ("train", "test"):
        for shade, name in enumerate(("cats", "dogs")):
            (folder / part / name).mkdir(parents=True)
            for number in range(10):
                Image.new("RGB", (32, 32), (shade * 200, number, 9)).save(folder / part / name / f"{number}.png")
    data = f"data={{source: imagefolder, path: {folder}, limitTest: 6}}"
    experiment = load_experiment("quick", None, [data, "training.batchSize=8", "searchSpace={}"])
    prepare.run(experiment, settings, root)
    test = load_test_images(root, experiment, read_dataset(root, "quick"))
    pixels = test.images[:, :2, 0, 0].tolist()
    names = tuple(f"test/{'dogs' if shade else 'cats'}/{number}.png" for shade, number in pixels)
    assert (len(test), test.files) == (6, names)
    write_predictions(root, test, torch.eye(2).repeat(3, 1), ["cats", "dogs"])  # every second one is mistaken
    rows = list(csv.DictReader(root.read_text(keys.PREDICTIONS).splitlines()))
    assert tuple(row["file"] for row in rows) == names
    mistaken = [row["file"] for row in rows if row["label"] != row["predicted"]]
    assert sorted(mistake.name for mistake in read_mistakes(root)) == sorted(mistaken)
