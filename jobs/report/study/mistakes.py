"""What the network takes for what, and the images of its most confident mistakes."""

import base64
import csv
import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from jobs.artifacts import Artifacts
from jobs.report.predictions import MISTAKES, PREDICTIONS
from jobs.report.study_results import Findings

LARGEST_SIDE = 96  # pixels: what a page shows of an image


@dataclass(frozen=True)
class Mistake:
    image: int
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


def confused_pairs(findings: Findings) -> list[ConfusedPair]:
    """What is mistaken for what, the most frequent first."""
    confusion, classes = findings.metrics["test"]["confusion"], findings.model["classes"]
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
            int(row["image"]),
            row["label"],
            row["predicted"],
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
