"""The model card: what somebody who uses a network without its study has to know of it."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from markupsafe import Markup

from jobs.artifacts.dataset_record import StoredDataset, stands_in_for
from jobs.artifacts.documents import MetricsDocument, ModelDocument
from jobs.experiment.core_yaml import dump_yaml
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import dump_experiment
from jobs.queue.status import Confirmed
from jobs.report.pages.template import load_template
from resnet_core.count import count_parameters
from resnet_core.description import NetworkConfig
from resnet_core.scores import Metrics

MANY_CLASSES = 20


def render_card(
    experiment: Experiment,
    model: ModelDocument,
    metrics: MetricsDocument,
    dataset: StoredDataset,
    winner: Confirmed | None = None,
) -> str:
    """The card as Markdown. Its head is YAML that hubs of models read. `winner` is what confirmations have chosen."""
    own = experiment.with_parameters(model.trial.parameters)
    images = experiment.data.limit or dataset.train.images
    trained = {name: getattr(own, name).model_dump(mode="json") for name in ("training", "model", "pruning")}
    unpruned = count_parameters(NetworkConfig.from_model(own.model, len(model.classes)))
    return load_template("model_card.md.j2").render(
        front_matter=Markup(dump_yaml(_front_matter(experiment, metrics)).rstrip()),
        experiment=experiment,
        yaml=dump_experiment(experiment).rstrip(),
        recipe=dump_yaml(trained).rstrip(),
        model=model,
        metrics=metrics,
        images=images,
        validated=images - model.training_images,
        dataset=dataset,
        other_than=stands_in_for(experiment.data.source, metrics.dataset),
        weakest=_weakest(model.classes, metrics.test),
        unpruned=unpruned,
        many_classes=MANY_CLASSES,
        winner=winner,
    )


def _front_matter(experiment: Experiment, metrics: MetricsDocument) -> dict[str, Any]:
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"name": metrics.dataset, "type": experiment.data.source},
        "metrics": [{"type": "accuracy", "name": "test accuracy", "value": round(metrics.test.accuracy, 6)}],
    }
    return {
        "library_name": "pytorch",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "resnet", "pruning", "safetensors", "onnx"],
        "metrics": ["accuracy"],
        "model-index": [{"name": experiment.study_name, "results": [result]}],
    }


def _weakest(classes: Sequence[str], test: Metrics) -> list[tuple[str, float, int]]:
    """The three classes that are recognised least often, with the share of their images that are, and their number."""
    rows = zip(classes, test.per_class_accuracy, map(sum, test.confusion), strict=True)
    return sorted([(name, share, images) for name, share, images in rows if share is not None], key=itemgetter(1))[:3]
