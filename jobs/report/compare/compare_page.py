"""The comparison as a page, as Markdown and as figures."""

import json
from collections.abc import Sequence
from typing import Any

from jobs.artifacts import Artifacts
from jobs.report.compare.compared_study import Study
from jobs.report.pages.figure_files import save_figure
from jobs.report.pages.template import percent, render
from resnet_core.figures.comparison import Point, accuracy_by_size, best_over_trials

PAGE = "compare.html"
SUMMARY = "compare.md"
FIGURES = "figures"
# Not compared: names and descriptions, and the space, of which the parameters of the best trials say more.
NOT_THE_RECIPE = ("study", "searchSpace")


def write_comparison(target: Artifacts, studies: Sequence[Study]) -> None:
    """Writes compare.html, compare.md and the figures, which also lie in the page."""
    points = [
        Point(
            study.label, study.metrics.parameters, study.metrics.accuracy.mean, *study.metrics.interval, published=False
        )
        for study in studies
    ]
    points += [
        Point(f"{study.label}: {value.what}", value.parameters, value.accuracy, None, None, published=True)
        for study in studies
        for value in study.experiment.study.published
        if not value.where and value.parameters is not None
    ]
    figures = [accuracy_by_size(points), best_over_trials({study.label: study.trials for study in studies})]
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
    first, second = sorted(studies, key=lambda study: -study.metrics.accuracy.mean)[:2]
    best, next_best = first.metrics, second.metrics
    lead = 100 * (best.accuracy.mean - next_best.accuracy.mean)
    apart = best.interval[0] > next_best.interval[1]
    sure = (
        "their 95 % intervals do not overlap" if apart else "their 95 % intervals overlap, so the order is not certain"
    )
    return (
        f"{first.label} has the highest test accuracy, {percent(best.accuracy.mean)} with "
        f"{best.parameters:,} parameters, {lead:.2f} points above {second.label} "
        f"({next_best.parameters:,} parameters); {sure}."
    )


def _table(columns: Sequence[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    """A row for each key that occurs, with its value in each column."""
    names = dict.fromkeys(name for column in columns for name in column)
    return [(name, [column.get(name) for column in columns]) for name in names]


def _differences(studies: Sequence[Study]) -> list[tuple[str, list[Any]]]:
    """The fields in which the experiments are not all alike, with the value in each experiment."""
    columns = [_leaves(study.experiment.model_dump(mode="json"), "") for study in studies]
    return [(name, values) for name, values in _table(columns) if any(value != values[0] for value in values)]


def _leaves(tree: dict[str, Any], path: str) -> dict[str, str]:
    leaves: dict[str, str] = {}
    for key, value in tree.items():
        if path == "" and key in NOT_THE_RECIPE:
            continue
        if isinstance(value, dict):
            leaves |= _leaves(value, f"{path}{key}.")
        else:
            leaves[f"{path}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return leaves
