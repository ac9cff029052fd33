"""The images of data sets: `prepare` writes them once, and every worker reads and checks them."""

import shutil
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from jobs.artifacts import Artifacts
from jobs.artifacts.base import file_sha256
from jobs.artifacts.dataset_record import StoredDataset, StoredPart, read_dataset
from jobs.artifacts.documents import write_document
from jobs.artifacts.keys import DATASET, TEST_FILES, images_key
from jobs.experiment.experiment import Experiment
from jobs.runtime.errors import ConfigurationError, Failure
from resnet_core.batches import TrainingData
from resnet_core.data import Images, RawDataset, channel_statistics, limit_images, load, save, split
from resnet_core.out_of_memory import describe_out_of_memory, is_out_of_memory
from resnet_core.seeds import derive_seed


class DatasetChanged(Failure):
    """The images are not those that `prepare` has stored."""


class DatasetTooLarge(Failure):
    """The images do not fit into the memory of the device on which the network is trained."""


def store_dataset(artifacts: Artifacts, experiment: Experiment, raw: RawDataset) -> StoredDataset:
    """Writes the images unless they are there already, the names of their files, and `dataset.json`.

    Raises:
        ConfigurationError: the study has other images, which are not there any more; nothing is written.

    """
    study, source = experiment.study_name, experiment.data.source
    _, validation = divide(experiment, raw.train)
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / name for name in ("train", "test")}
        save(raw.train, files["train"])
        save(raw.test, files["test"])
        sha256 = {name: file_sha256(file) for name, file in files.items()}
        parts = {
            name: StoredPart(key=images_key(source, name, sha256[name]), sha256=sha256[name], images=len(images))
            for name, images in (("train", raw.train), ("test", raw.test))
        }
        size = raw.train.images.shape[-1]
        stored = StoredDataset(
            title=raw.title, classes=raw.classes, image_size=size, validation_images=len(validation), **parts
        )
        _check_same(artifacts, study, source, stored)
        for name, part in parts.items():
            if not artifacts.exists(part.key) or artifacts.sha256(part.key) != part.sha256:
                artifacts.write(part.key, partial(shutil.copyfile, files[name]))
    if raw.test.files:
        artifacts.write_json(f"{study}/{TEST_FILES}", raw.test.files)
    write_document(artifacts, f"{study}/{DATASET}", stored)
    return stored


def load_training_data(
    artifacts: Artifacts, experiment: Experiment, stored: StoredDataset, device: torch.device, *, merge: bool = False
) -> TrainingData:
    """Training and validation images on the device; with `merge`, both together as training images.

    Raises:
        DatasetTooLarge: they do not fit into the device's memory.

    """
    try:
        train, validation = divide(experiment, _load_part(artifacts, stored.train))
        mean, std = channel_statistics(train)
        if merge:
            train = Images(torch.cat((train.images, validation.images)), torch.cat((train.labels, validation.labels)))
        return TrainingData(
            train=train.to(device),
            validation=None if merge else validation.to(device),
            mean=mean.to(device),
            std=std.to(device),
        )
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        size = 3 * stored.image_size**2 * (experiment.data.limit or stored.train.images) / 2**20
        doing = f"while {size:,.1f} MiB of images were loaded"
        advice = "fewer images (data.limit) or smaller ones (data.imageSize) need less"
        raise DatasetTooLarge(f"{stored.title}: {describe_out_of_memory(error, device, doing, advice)}") from None


def load_test_images(artifacts: Artifacts, experiment: Experiment, stored: StoredDataset) -> Images:
    images, files = _load_part(artifacts, stored.test), f"{experiment.study_name}/{TEST_FILES}"
    if artifacts.exists(files):
        images = replace(images, files=tuple(artifacts.read_json(files)))
    if experiment.data.limit_test is not None:
        seed = derive_seed(experiment.seed, "test")
        images = limit_images(images, experiment.data.limit_test, seed, "data.limitTest")
    return images


def divide(experiment: Experiment, images: Images) -> tuple[Images, Images]:
    """The training and the validation images, divided in the same way in every stage of an experiment."""
    data = experiment.data
    return split(images, data.validation, derive_seed(experiment.seed, "split"), data.limit)


def _check_same(artifacts: Artifacts, study: str, source: str, stored: StoredDataset) -> None:
    if not artifacts.exists(f"{study}/{DATASET}"):
        return
    before = read_dataset(artifacts, study)
    if (before.train, before.test, before.classes) != (stored.train, stored.test, stored.classes):
        raise ConfigurationError(
            f"data.source={source}: not the images that study {study} was prepared with: the files were changed, or "
            "this version reads them otherwise; choose another study.name"
        )


def _load_part(artifacts: Artifacts, part: StoredPart) -> Images:
    def read(path: Path) -> Images:
        found = file_sha256(path)
        if found != part.sha256:
            raise DatasetChanged(f"{part.key}: sha256 {found}, expected {part.sha256}; the file was changed")
        return load(path)

    return artifacts.read(part.key, read)
