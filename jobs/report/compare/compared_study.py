"""The studies of a comparison, read from their results, and whether they can be compared."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jobs.artifacts import Artifacts
from jobs.artifacts.dataset_record import StoredDataset
from jobs.artifacts.documents import D, MetricsDocument, ModelDocument, parse_document
from jobs.artifacts.fetch import read_checked
from jobs.artifacts.keys import DATASET, EXPERIMENT, METRICS, TRIAL_TABLE, model_key
from jobs.artifacts.manifest import Manifest, NotAResult, read_manifest
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import parse_experiment
from jobs.report.study.trial_table import ACCURACY
from jobs.runtime.errors import ConfigurationError
from resnet_core.figures.trials import TrialPoint


@dataclass(frozen=True)
class Study:
    """A study. `label` names it among those that it is compared with."""

    label: str
    location: str
    experiment: Experiment
    dataset: StoredDataset
    metrics: MetricsDocument
    model: ModelDocument
    trials: list[TrialPoint]
    trial_hours: float

    @property
    def interval_of(self) -> str:
        seeds = len(self.metrics.seeds)
        return f"{seeds} seeds" if seeds > 1 else f"{self.metrics.test.images:,} test images"


def read_studies(results: Sequence[Artifacts]) -> list[Study]:
    """The studies in the order given, each object checked against its manifest.

    Raises:
        ConfigurationError: one is given twice, or they were not tested on the same images.
        NotAResult: there is no manifest, or it lacks what a comparison needs.
        Corrupted: an object is not the one that the manifest names.

    """
    places = Counter(artifacts.location for artifacts in results)
    twice = [place for place, count in places.items() if count > 1]
    if twice:
        raise ConfigurationError(f"{twice[0]}: given twice; a comparison takes different studies")
    studies = [_read_study(artifacts) for artifacts in results]
    for other in studies[1:]:
        _check_comparable(studies[0], other)
    names = Counter(study.label for study in studies)
    return [study if names[study.label] == 1 else replace(study, label=study.location) for study in studies]


def _read_study(artifacts: Artifacts) -> Study:
    manifest = read_manifest(artifacts)
    experiment = parse_experiment(_checked(artifacts, manifest, EXPERIMENT))
    metrics = _checked_document(artifacts, manifest, METRICS, MetricsDocument)
    dataset = _checked_document(artifacts, manifest, DATASET, StoredDataset)
    rows = list(csv.DictReader(io.StringIO(_checked(artifacts, manifest, TRIAL_TABLE))))
    trials = [_trial(row, dataset.validation_images) for row in rows if row["trial"]]
    return Study(
        label=experiment.study_name,
        location=artifacts.location,
        experiment=experiment,
        dataset=dataset,
        metrics=metrics,
        model=_checked_document(artifacts, manifest, model_key(metrics.chosen), ModelDocument),
        trials=sorted(trials, key=lambda trial: trial.number),
        trial_hours=sum(float(row["seconds"] or 0.0) for row in rows) / 3600,
    )


def _checked_document(artifacts: Artifacts, manifest: Manifest, key: str, kind: type[D]) -> D:
    return parse_document(_checked(artifacts, manifest, key), kind, f"{artifacts.location}/{key}")


def _checked(artifacts: Artifacts, manifest: Manifest, key: str) -> str:
    """The text of an object that the manifest names."""
    if key not in manifest.objects:
        raise NotAResult(f"{artifacts.location}: its manifest names no {key}, which a comparison needs")
    return read_checked(artifacts, key, manifest.objects[key], lambda path: path.read_text(encoding="utf-8"))


def _trial(row: dict[str, str], images: int | None) -> TrialPoint:
    if ACCURACY in row:
        accuracy = float(row[ACCURACY]) / 100 if row[ACCURACY] else None
    else:  # as version 0.1.0 wrote it
        accuracy = float(row["accuracy"]) if row["accuracy"] else None
    return TrialPoint(int(row["trial"]), row["state"], accuracy, parameters={}, by_epoch={}, images=images)


def _check_comparable(one: Study, other: Study) -> None:
    theirs = _tested_on(other)
    for what, value in _tested_on(one).items():
        if value != theirs[what]:
            raise ConfigurationError(
                f"{one.location} and {other.location} cannot be compared, as they were tested on different images: "
                f"{what} is {value} and {theirs[what]}"
            )


def _tested_on(study: Study) -> dict[str, str]:
    """All that decides which images a study was tested on."""
    limit = study.experiment.data.limit_test
    return {
        "the data set": study.dataset.title,
        "the sha256 of the test images": study.dataset.test.sha256,
        "data.limitTest": "null" if limit is None else str(limit),
        "the seed that draws them": "none" if limit is None else str(study.experiment.seed),
    }
