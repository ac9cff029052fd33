"""The report: one HTML file that needs nothing else."""

from typing import Any

import jinja2

from jobs.experiment import Experiment
from jobs.experiment_file import dump_experiment
from jobs.status import SweepStatus

CAPTIONS = {
    "filters-per-layer": "Filters of every convolution, before and after pruning.",
    "parameters-per-layer": "Parameters of every layer, before and after pruning.",
    "training-curves": "Loss and accuracy over the final training.",
    "learning-rate": "Learning rate over the final training.",
    "confusion-matrix": "Test images by true and predicted class.",
    "history": "Validation accuracy of the trials, in the order they began.",
    "importances": "How much of the differences between trials each parameter explains (fANOVA).",
    "contour": "Validation accuracy over pairs of the most important parameters.",
    "parallel-coordinates": "The parameters of every complete trial; darker lines did better.",
}
SWEEP_FIGURES = ("history", "importances", "contour", "parallel-coordinates")


def render_report(
    *,
    experiment: Experiment,
    model: dict[str, Any],
    metrics: dict[str, Any],
    status: SweepStatus,
    layers: list[dict[str, Any]],
    figures: dict[str, str],
) -> str:
    """The page; `figures` are data URLs by name, `layers` the counts before and after pruning."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jobs", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: "–" if share is None else f"{100 * share:.2f} %"
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["short"] = lambda value: f"{value:.4g}" if isinstance(value, float) else str(value)
    return environment.get_template("report.html.j2").render(
        experiment=experiment,
        yaml=dump_experiment(experiment),
        model=model,
        metrics=metrics,
        status=status,
        parameter_names=list(experiment.searched),
        layers=layers,
        figures=figures,
        captions=CAPTIONS,
        sweep_figures=[name for name in SWEEP_FIGURES if name in figures],
    )
