"""What a study knows of its data set. Without torch: whoever only asks whether the images are there needs none."""

from pydantic import BaseModel

from jobs.artifacts import Artifacts

POINTER = "dataset.json"
OFFICIAL_TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}  # of images that were held against their checksums


class StoredPart(BaseModel):
    key: str  # among all artifacts, not only the study's
    sha256: str
    images: int


class StoredDataset(BaseModel):
    """What a study knows of its data set; lies beside its results as `dataset.json`."""

    title: str
    classes: tuple[str, ...]
    image_size: int
    train: StoredPart
    test: StoredPart


def stands_in_for(source: str, title: str) -> str | None:
    """The official data set whose place images of another title take; None for the official one and for any other."""
    official = OFFICIAL_TITLES.get(source)
    return official if official != title else None


def dataset_is_stored(artifacts: Artifacts, study: str) -> bool:
    """Whether the study points to images that are there; their checksums are looked at when they are loaded."""
    if not artifacts.exists(f"{study}/{POINTER}"):
        return False
    stored = read_dataset(artifacts, study)
    return artifacts.exists(stored.train.key) and artifacts.exists(stored.test.key)


def read_dataset(artifacts: Artifacts, study: str) -> StoredDataset:
    return StoredDataset.model_validate(artifacts.read_json(f"{study}/{POINTER}"))
