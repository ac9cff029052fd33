"""What a study knows of its data set. Nothing here imports torch."""

from pydantic import BaseModel

from jobs.artifacts import Artifacts
from jobs.artifacts.documents import read_document
from jobs.artifacts.keys import DATASET

# Images get these titles only if they have the checksums of the official files.
OFFICIAL_TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}


class StoredPart(BaseModel):
    key: str  # counted from the folder of all studies
    sha256: str
    images: int


class StoredDataset(BaseModel):
    """What a study knows of its data set: `dataset.json` in the study's folder."""

    title: str
    classes: tuple[str, ...]
    image_size: int
    train: StoredPart
    test: StoredPart
    validation_images: int | None = None  # of the training part; None where version 0.1.0 has prepared the study


def stands_in_for(source: str, title: str) -> str | None:
    """The name of the official data set if images with another title were used in place of it, else None."""
    official = OFFICIAL_TITLES.get(source)
    return official if official != title else None


def dataset_is_stored(artifacts: Artifacts, study: str) -> bool:
    """Whether the images of the study are there. Their checksums are compared later, when they are loaded."""
    if not artifacts.exists(f"{study}/{DATASET}"):
        return False
    stored = read_dataset(artifacts, study)
    return artifacts.exists(stored.train.key) and artifacts.exists(stored.test.key)


def read_dataset(artifacts: Artifacts, study: str) -> StoredDataset:
    return read_document(artifacts, f"{study}/{DATASET}", StoredDataset)
