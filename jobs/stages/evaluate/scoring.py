"""Tests the final networks on the test images."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from jobs.artifacts import Artifacts
from jobs.artifacts.base import file_sha256
from jobs.artifacts.dataset_images import load_test_images
from jobs.artifacts.dataset_record import read_dataset
from jobs.artifacts.documents import AccuracyOfSeeds, MetricsDocument, ModelDocument, SeedMetrics
from jobs.artifacts.final_training import weights_key
from jobs.experiment.experiment import Experiment
from jobs.report.model_folder import WeightsChanged
from jobs.report.predictions import write_predictions
from jobs.runtime.device import select_device
from jobs.runtime.errors import Failure
from jobs.runtime.settings import Settings
from resnet_core.count import check_budget
from resnet_core.data import Images
from resnet_core.load import load_network
from resnet_core.metrics import compute_metrics, mean_interval
from resnet_core.model import ResNet
from resnet_core.predict import predict
from resnet_core.provenance import describe_environment

OF_CHOSEN = {"test", "weights_sha256", "test_with_flip"}  # what metrics.json repeats of the chosen seed


class NotFinite(Failure):
    """A network gives numbers of which no metric can be computed."""


def run_final_test(
    experiment: Experiment, settings: Settings, root: Artifacts, study: Artifacts, models: Sequence[ModelDocument]
) -> MetricsDocument:
    """Tests the network of every seed, writes its predictions if it is the chosen one, and returns the metrics.

    Chosen is the network with the best validation accuracy, so that the test images decide nothing.

    Args:
        experiment: what the study was prepared for.
        settings: of this process.
        root: all artifacts.
        study: those of the study, to be written.
        models: of all seeds.

    Raises:
        WeightsChanged: weights are not those that the final training has left.
        NotFinite: a network gives something else than finite numbers for a test image.
        BudgetExceeded: a network has more parameters than it may.

    """
    device = select_device(settings)
    dataset = read_dataset(root, experiment.study_name)
    test = load_test_images(root, experiment, dataset).to(device)
    chosen = max(models, key=lambda model: (model.validation_accuracy or 0.0, -model.seed)).seed
    seeds = []
    for model in models:
        check_budget(model.network, experiment.budget.parameters)
        network, sha256 = study.read(weights_key(model), partial(_load, model))
        network.to(device).to(memory_format=torch.channels_last)
        logits = _logits(network, model, test)
        flipped = {}
        if experiment.evaluation.flip:
            flipped["test_with_flip"] = compute_metrics(_logits(network, model, test, flip=True), test.labels)
        tested = SeedMetrics(
            seed=model.seed,
            validation_accuracy=model.validation_accuracy,
            test=compute_metrics(logits, test.labels),
            weights_sha256=sha256,
            **flipped,
        )
        if model.seed == chosen:
            write_predictions(study, test, logits, model.classes)
        seeds.append(tested)
    mean, low, high = mean_interval([tested.test.accuracy for tested in seeds])
    of_chosen = {name: getattr(seeds[chosen], name) for name in seeds[chosen].model_fields_set & OF_CHOSEN}
    return MetricsDocument(
        dataset=dataset.title,
        parameters=models[chosen].parameters,
        budget=experiment.budget.parameters,
        macs=models[chosen].macs,
        accuracy=AccuracyOfSeeds(mean=mean, low=low, high=high),
        chosen=chosen,
        **of_chosen,
        seeds=tuple(seeds),
        environment=describe_environment(device),
    )


def _load(model: ModelDocument, weights: Path) -> tuple[ResNet, str]:
    """The network, and the sha256 of its weights."""
    found = file_sha256(weights)
    if model.weights_sha256 not in (None, found):  # None: trained by version 0.1.0
        raise WeightsChanged(f"{weights_key(model)}: sha256 {found}, but {model.weights_sha256} was trained")
    return load_network(model.network, weights), found


def _logits(network: ResNet, model: ModelDocument, test: Images, *, flip: bool = False) -> torch.Tensor:
    mean, std = (torch.tensor(values, device=test.images.device) for values in (model.mean, model.std))
    logits = predict(network, test.images, mean, std, getattr(torch, model.precision), flip=flip)
    finite = logits.isfinite().all(dim=1)
    if not finite.all():
        count = f"{int((~finite).sum())} of {len(test)} test images"
        raise NotFinite(f"seed {model.seed}: the network gives numbers that are not finite for {count}")
    return logits
