"""The stage `evaluate`: the test images once, then the model that goes out, report and manifest."""

import base64
import logging
from typing import Any

from matplotlib.figure import Figure

from jobs.artifacts import Artifacts
from jobs.checkpoints import remove_settled
from jobs.database import database_place
from jobs.experiment import Experiment
from jobs.failure import Failure
from jobs.final_test import run_final_test
from jobs.manifest import MANIFEST, write_manifest
from jobs.outage import patiently
from jobs.prepared import check_prepared
from jobs.report import render_report
from jobs.result import METRICS, REPORT, model_key, read_epochs
from jobs.settings import Settings
from jobs.status import sweep_status
from jobs.storage import FencedStorage
from jobs.study import load_study
from jobs.sweep_figures import sweep_figures
from resnet_core import figures
from resnet_core.config import ScheduleConfig
from resnet_core.count import count_layers
from resnet_core.model import NetworkConfig

log = logging.getLogger(__name__)


class NotTrained(Failure):
    """There is no network to evaluate yet."""


def run(experiment: Experiment, settings: Settings, root: Artifacts) -> None:
    """Tests the final network unless that is done, and writes what there is to see. The manifest comes last.

    Raises:
        NotPrepared, ConfigurationError: the study is not there, or belongs to another experiment.
        NotTrained: the final training is not done.
        OutageTooLong, Refused: database or artifacts cannot be reached.

    """
    patiently(
        lambda: _evaluate(experiment, settings, root),
        place=f"{root.location} or {database_place(settings.database_url)}",
        deadline_seconds=settings.outage_deadline_seconds,
    )


def _evaluate(experiment: Experiment, settings: Settings, root: Artifacts) -> None:
    """Everything that is not there yet: after an outage it goes on from what it had written."""
    artifacts = root.under(experiment.study_name)
    if artifacts.exists(MANIFEST):
        log.info("the evaluation is done")
        return
    storage = FencedStorage(settings.database_url, settings.database_timeout_seconds)
    check_prepared(storage.engine, experiment, database_place(settings.database_url))
    seeds = range(experiment.final_train.seeds)
    for key in map(model_key, seeds):
        if not artifacts.exists(key):
            raise NotTrained(f"{artifacts.location}: no {key}; the final training writes it when it is done")
    models = [artifacts.read_json(model_key(seed)) for seed in seeds]
    if len({model["trial"]["number"] for model in models}) > 1:
        raise NotTrained(f"{artifacts.location}: not all seeds are trained with the best trial's parameters yet")
    if artifacts.exists(METRICS):
        metrics = artifacts.read_json(METRICS)
        log.info("the test images have been looked at before; their metrics stay as they are")
    else:
        metrics = run_final_test(experiment, settings, root, models)
        artifacts.write_json(METRICS, metrics)
    for tested in metrics["seeds"]:
        name = "" if len(models) == 1 else f" with seed {tested['seed']}"
        log.info("test accuracy%s %.4f on %d images", name, tested["test"]["accuracy"], tested["test"]["images"])

    study = load_study(experiment, storage)
    model = models[metrics["chosen"]]
    drawn = _draw(experiment, artifacts, model, metrics)
    drawn |= sweep_figures(study, experiment.seed)
    pictures = {name: _save(artifacts, name, figure) for name, figure in drawn.items()}
    unpruned = NetworkConfig.from_model(experiment.model, len(model["classes"]))
    report = render_report(
        experiment=experiment,
        model=model,
        metrics=metrics,
        status=sweep_status(storage.engine, storage, experiment.study_name),
        layers=_layer_rows(unpruned, NetworkConfig.model_validate(model["network"]), model["imageSize"]),
        figures=pictures,
    )
    artifacts.write_text(REPORT, report)
    remove_settled(artifacts, study.trials)
    write_manifest(artifacts)


def _draw(
    experiment: Experiment, artifacts: Artifacts, model: dict[str, Any], metrics: dict[str, Any]
) -> dict[str, Figure]:
    unpruned = count_layers(NetworkConfig.from_model(experiment.model, len(model["classes"])), model["imageSize"])
    trained = count_layers(NetworkConfig.model_validate(model["network"]), model["imageSize"])
    epochs = read_epochs(artifacts, model["seed"])
    recipe, _ = experiment.with_parameters(model["trial"]["parameters"])
    schedule: dict[str, tuple[ScheduleConfig, float]] = {recipe.schedule.name: (recipe.schedule, recipe.lr)}
    return {
        "filters-per-layer": figures.filters_per_layer(unpruned, trained),
        "parameters-per-layer": figures.parameters_per_layer(unpruned, trained),
        "training-curves": figures.training_curves(epochs),
        "learning-rate": figures.learning_rate_schedules(schedule, experiment.final_train.epochs),
        "confusion-matrix": figures.confusion_matrix(metrics["test"]["confusion"], model["classes"]),
    }


def _layer_rows(before: NetworkConfig, after: NetworkConfig, size: int) -> list[dict[str, Any]]:
    pairs = zip(count_layers(before, size), count_layers(after, size), strict=True)
    return [{"name": old.name, "before": old, "after": new} for old, new in pairs]


def _save(artifacts: Artifacts, name: str, figure: Figure) -> str:
    """Writes the figure as PNG and SVG and returns the SVG as a data URL."""
    with artifacts.writing(f"evaluation/figures/{name}.png") as path:
        figure.savefig(path, format="png", dpi=150, bbox_inches="tight")
    with artifacts.writing(f"evaluation/figures/{name}.svg") as path:
        figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})
    svg = artifacts.read_text(f"evaluation/figures/{name}.svg")
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
