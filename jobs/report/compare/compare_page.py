"""The comparison as a page, as Markdown and as figures."""

import json
from collections.abc import Sequence
from typing import Any

from jobs.artifacts import Artifacts
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import fields_by_path
from jobs.report.compare.compared_study import Study
from jobs.report.pages.figure_files import save_figure
from jobs.report.pages.template import render
from resnet_core.figures.comparison import Point, accuracy_by_size, best_over_trials
from resnet_core.shown_accuracy import percent, points

PAGE = "compare.html"
SUMMARY = "compare.md"
FIGURES = "figures"


def write_comparison(target: Artifacts, studies: Sequence[Study]) -> None:
    """Writes compare.html, compare.md and the figures, which also lie in the page."""
    networks = [
        Point(s.label, s.metrics.parameters, s.metrics.accuracy.mean, *s.metrics.interval, s.metrics.test.images)
        for s in studies
    ]
    networks += [
        Point(f"{study.label}: {value.what}", value.parameters, value.accuracy, published=True)
        for study in studies
        for value in study.experiment.study.published
        if not value.where and value.parameters is not None
    ]
    figures = [accuracy_by_size(networks), best_over_trials({study.label: study.trials for study in studies})]
    values = {
        "studies": studies,
        "dataset": studies[0].dataset.title,
        "verdict": verdict(studies),
        "configurations": _table([study.model.trial.parameters for study in studies]),
        "differences": _differences(studies),
        "figures": [save_figure(target, FIGURES, figure) for figure in figures],
    }
    target.write_text(PAGE, render("compare/compare.html.j2", values))
    target.write_text(SUMMARY, render("compare/compare.md.j2", values))


def verdict(studies: Sequence[Study]) -> str:
    """Which study has the highest accuracy, and whether its interval overlaps with that of the next."""
    images = studies[0].metrics.test.images  # all were tested on the same
    first, second = sorted(studies, key=lambda study: -study.metrics.accuracy.mean)[:2]
    best, next_best = first.metrics, second.metrics
    overlap = best.interval[0] <= next_best.interval[1]
    sure = f"their 95 % intervals {'overlap, so the order is not certain' if overlap else 'do not overlap'}"
    return (
        f"{first.label} has the highest test accuracy, {percent(best.accuracy.mean, images)} with {best.parameters:,} "
        f"parameters, {points(best.accuracy.mean - next_best.accuracy.mean, images)} points above {second.label} "
        f"({next_best.parameters:,} parameters); {sure}."
    )


def _table(columns: Sequence[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    """A row for each key that occurs, with its value in each column."""
    names = dict.fromkeys(name for column in columns for name in column)
    return [(name, [column.get(name) for column in columns]) for name in names]


def _differences(studies: Sequence[Study]) -> list[tuple[str, list[Any]]]:
    """The fields in which the experiments are not all alike, with the value in each experiment."""
    columns = [_recipe(study.experiment) for study in studies]
    return [(name, values) for name, values in _table(columns) if any(value != values[0] for value in values)]


def _recipe(experiment: Experiment) -> dict[str, str]:
    """The fields that decide on a result; the search space is not among them, as the best trials say what it gave."""
    return {
        path: value if isinstance(value, str) else json.dumps(value, allow_nan=False)
        for path, value in fields_by_path(experiment).items()
        if path != "searchSpace" and not path.startswith("study.")
    }
