"""`model.json` and `metrics.json`, and how every JSON file of a result is written and read.

`manifest.json` and `dataset.json` are described in manifest.py and dataset_record.py.
"""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from jobs.artifacts import Artifacts
from jobs.experiment.values import Value
from jobs.runtime.errors import Failure
from resnet_core.config import Config
from resnet_core.description import FileName, ModelDescription
from resnet_core.scores import Metrics
from resnet_core.validation import explain, parse_json

D = TypeVar("D", bound=BaseModel)


class Damaged(Failure):
    """A file of a result does not hold what this program writes into it."""


class Document(Config):
    """A JSON file or a part of one. Keys that only a later version knows are ignored."""

    model_config = ConfigDict(extra="ignore")


class ChosenTrial(Document):
    """The trial whose parameters a network was trained with."""

    number: int
    parameters: dict[str, Value]


class ModelDocument(ModelDescription):
    """`model.json`: what is needed to use a network, and how it was trained.

    `epochs` is the file of its epochs and `weights` that of its weights, counted from the document's folder.
    """

    epochs: FileName = "epochs.jsonl"
    epochs_sha256: str | None = None
    parameters: int
    macs: int
    trial: ChosenTrial
    epoch: int  # whose weights they are
    validation_accuracy: float | None  # of that epoch; None where no validation images were left
    training_images: int
    seconds: float
    seed: int
    ranks: int = 1


class AccuracyOfSeeds(Document):
    """The mean over the seeds, and its 95 % interval, which a single seed does not give."""

    mean: float
    low: float | None
    high: float | None


class SeedMetrics(Document):
    """The network of one seed on the test images, and if asked for, on these and their mirror images."""

    seed: int
    validation_accuracy: float | None
    test: Metrics
    weights_sha256: str
    test_with_flip: Metrics | None = None


class MetricsDocument(Document):
    """`metrics.json`. `test`, `weights_sha256` and `test_with_flip` are those of the chosen seed."""

    dataset: str
    parameters: int
    budget: int
    macs: int
    accuracy: AccuracyOfSeeds
    chosen: int  # the seed whose network goes out
    test: Metrics
    weights_sha256: str
    test_with_flip: Metrics | None = None
    seeds: tuple[SeedMetrics, ...]
    environment: dict[str, str]

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy: over the seeds; of a single one, from the number of test images."""
        low, high = self.accuracy.low, self.accuracy.high
        return self.test.accuracy_interval if low is None or high is None else (max(low, 0.0), min(high, 1.0))


def write_document(artifacts: Artifacts, key: str, document: BaseModel) -> None:
    """Writes the fields that were given, so that a document which was read is written as it was."""
    artifacts.write_json(key, document.model_dump(mode="json", exclude_unset=True))


def read_document(artifacts: Artifacts, key: str, kind: type[D]) -> D:
    """Raises Damaged where the object is not such a document."""
    return parse_document(artifacts.read_text(key), kind, f"{artifacts.location}/{key}")


def parse_document(text: str, kind: type[D], place: str) -> D:
    """The document in a text that lies at `place`; raises Damaged as `read_document` does."""
    try:
        return kind.model_validate(parse_json(text))
    except ValidationError as error:
        raise Damaged(f"{place}: {explain(error, kind)[0]}") from None
    except ValueError as error:
        raise Damaged(f"{place}: {error}") from None
