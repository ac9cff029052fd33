"""Which classes the network confuses, and the images of its most confident mistakes."""

import base64
import csv
import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from jobs.artifacts import Artifacts
from jobs.artifacts.keys import MISTAKES, PREDICTIONS
from jobs.report.study_results import StudyResults
from resnet_core.shown_text import from_csv_text

LARGEST_SIDE = 96  # pixels: what a page shows of an image


@dataclass(frozen=True)
class Mistake:
    name: str  # of its file, or its number among the test images
    label: str
    predicted: str
    confidence: float
    data_url: str


@dataclass(frozen=True)
class ConfusedPair:
    label: str
    predicted: str
    count: int
    of: int  # images of the true class


def confused_pairs(results: StudyResults) -> list[ConfusedPair]:
    """Pairs of a class and the class that it is mistaken for, the most frequent first."""
    confusion, classes = results.metrics.test.confusion, results.model.classes
    pairs = [
        ConfusedPair(classes[label], classes[predicted], count, sum(row))
        for label, row in enumerate(confusion)
        for predicted, count in enumerate(row)
        if label != predicted and count
    ]
    return sorted(pairs, key=lambda pair: (-pair.count, -pair.count / pair.of))


def read_mistakes(artifacts: Artifacts) -> list[Mistake]:
    """The images that `evaluate` kept, the most confident mistake first."""
    kept = {int(PurePosixPath(key).stem): key for key in artifacts.listing(MISTAKES)}
    table = csv.DictReader(io.StringIO(artifacts.read_text(PREDICTIONS)))
    rows = [row for row in table if int(row["image"]) in kept]
    rows.sort(key=lambda row: -float(row["confidence"]))
    return [
        Mistake(
            from_csv_text(row.get("file", row["image"])),
            from_csv_text(row["label"]),
            from_csv_text(row["predicted"]),
            float(row["confidence"]),
            _data_url(artifacts, kept[int(row["image"])]),
        )
        for row in rows
    ]


def _data_url(artifacts: Artifacts, key: str) -> str:
    def small(path: Path) -> bytes:
        buffer = io.BytesIO()
        with Image.open(path) as image:
            image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
            image.save(buffer, format="png", optimize=True)
        return buffer.getvalue()

    return "data:image/png;base64," + base64.b64encode(artifacts.read(key, small)).decode()
