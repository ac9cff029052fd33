"""The stage `final-train`: the best configuration, trained to the end."""

import json
import logging
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file

from jobs import interrupt
from jobs.artifacts import Artifacts
from jobs.best_trial import best_trial
from jobs.checkpoints import Checkpoints
from jobs.database import database_place
from jobs.datasets import load_training_data
from jobs.experiment import Experiment
from jobs.final_course import Course
from jobs.manifest import MANIFEST
from jobs.outage import patiently
from jobs.prepared import check_prepared
from jobs.result import final_prefix, model_key, trained_trial, weights_key
from jobs.settings import Settings
from jobs.status import SweepStatus, TrialStatus, sweep_status
from jobs.storage import FencedStorage
from jobs.stored_dataset import StoredDataset, read_dataset
from resnet_core.build import build_network
from resnet_core.count import check_budget, count_macs, count_parameters
from resnet_core.device import describe, select_device, select_precision
from resnet_core.model import ResNet
from resnet_core.seeds import derive_seed
from resnet_core.train import TrainingData, first_batch, train

log = logging.getLogger(__name__)

T = TypeVar("T")


def run(experiment: Experiment, settings: Settings, root: Artifacts) -> None:
    """Trains with the parameters of the best complete trial, once a seed; goes on from the last checkpoint.

    Where JOB_COMPLETION_INDEX is set, only the seed of that number is this process's. A final training of a trial that
    is no longer the best, since more were run, is done anew.

    Raises:
        Interrupted: the process was asked to end; the checkpoint of the last epoch is kept.
        SweepNotOver: it has trials that are not settled.
        TooFewCompleted: it has fewer complete trials than sweep.minCompleted.
        Diverged: the loss became infinite or not a number.
        OutageTooLong, Refused: database or artifacts cannot be reached.

    """
    best = _best_trial(experiment, settings)
    index = settings.job_completion_index
    training = _FinalTraining(experiment, settings, root, best)
    for seed in range(experiment.final_train.seeds) if index is None else [index]:
        training.train(seed)


class _FinalTraining:
    """The trial that is trained, and the images once they are needed."""

    def __init__(self, experiment: Experiment, settings: Settings, root: Artifacts, best: TrialStatus) -> None:
        self._experiment, self._settings, self._best = experiment, settings, best
        self._root, self._artifacts = root, root.under(experiment.study_name)

    def train(self, seed: int) -> None:
        """The training with one seed, as far as it is not done."""
        artifacts, best, prefix = self._artifacts, self._best, final_prefix(seed)
        done_for = self._patiently(lambda: trained_trial(artifacts, seed))
        if done_for == best.number:
            log.info("the final training%s is done", self._name(seed))
            self._patiently(Checkpoints(artifacts, prefix).remove)
            return
        if done_for is not None:
            log.info("trial %d is better than trial %d, whose final training is dropped", best.number, done_for)
            self._patiently(lambda: _remove(artifacts, seed))
        experiment, device = self._experiment, self._device
        recipe, pruning = experiment.with_parameters(best.parameters)
        dataset, data = self._data
        network_seed = derive_seed(experiment.seed, "final", *([seed] if seed else []))
        network = build_network(
            experiment.model,
            pruning,
            len(dataset.classes),
            dropout=recipe.dropout,
            seed=network_seed,
            batch=first_batch(data, recipe.batch_size),
        ).to(device)
        check_budget(network.config(), experiment.budget.parameters)
        parameters = json.dumps(best.parameters)
        log.info("final training%s of trial %d on %s: %s", self._name(seed), best.number, describe(device), parameters)

        checkpoints = Checkpoints(artifacts, f"{prefix}/trial-{best.number}")
        course = Course(artifacts, checkpoints, experiment.final_train, seed, self._patiently)
        trained = train(
            network,
            recipe,
            data,
            experiment.final_train.epochs,
            seed=derive_seed(network_seed, "training"),
            checkpoint=course.resume(device),
            on_step=interrupt.check,
            on_epoch=course.on_epoch,
        )
        weights = {name: tensor.contiguous() for name, tensor in course.chosen(trained).items()}

        def write_weights() -> None:
            with artifacts.writing(weights_key(seed)) as path:
                save_file(weights, path)

        self._patiently(write_weights)
        card = _describe_model(dataset, data, trained, best, course)
        card |= {"seed": seed, "precision": str(select_precision(recipe.precision, device)).removeprefix("torch.")}
        self._patiently(lambda: artifacts.write_json(model_key(seed), card))
        self._patiently(Checkpoints(artifacts, prefix).remove)  # also those of a trial that was the best before

    @cached_property
    def _device(self) -> torch.device:
        return select_device(self._settings.device)

    @cached_property
    def _data(self) -> tuple[StoredDataset, TrainingData]:
        experiment, root = self._experiment, self._root
        dataset = self._patiently(lambda: read_dataset(root, experiment.study_name))
        merge = experiment.final_train.data == "train+validation"
        data = self._patiently(lambda: load_training_data(root, experiment, dataset, self._device, merge=merge))
        return dataset, data

    def _name(self, seed: int) -> str:
        return "" if self._experiment.final_train.seeds == 1 else f" with seed {seed}"

    def _patiently(self, action: Callable[[], T]) -> T:
        deadline = self._settings.outage_deadline_seconds
        return patiently(action, place=self._root.location, deadline_seconds=deadline)


def _best_trial(experiment: Experiment, settings: Settings) -> TrialStatus:
    def read() -> SweepStatus:
        storage = FencedStorage(settings.database_url, settings.database_timeout_seconds)
        try:
            check_prepared(storage.engine, experiment, place)
            return sweep_status(storage.engine, storage, experiment.study_name)
        finally:
            storage.engine.dispose()

    place = database_place(settings.database_url)
    status = patiently(read, place=place, deadline_seconds=settings.outage_deadline_seconds)
    return best_trial(experiment, status)


def _remove(artifacts: Artifacts, seed: int) -> None:
    """Takes away a final training with all that follows from it, what says that it is done first."""
    after = (MANIFEST, *artifacts.listing("evaluation"), *artifacts.listing("model"))
    for key in (*after, model_key(seed), *artifacts.listing(final_prefix(seed))):
        artifacts.remove(key)


def _describe_model(
    dataset: StoredDataset, data: TrainingData, trained: ResNet, best: TrialStatus, course: Course
) -> dict[str, Any]:
    """All that is needed to build the network again and to feed it, and how it came about."""
    config = trained.config()
    return {
        "network": config.model_dump(mode="json"),
        "parameters": count_parameters(config),
        "macs": count_macs(config, dataset.image_size),
        "classes": list(dataset.classes),
        "imageSize": dataset.image_size,
        "mean": data.mean.tolist(),
        "std": data.std.tolist(),
        "trial": {"number": best.number, "parameters": best.parameters},
        "epoch": course.chosen_epoch.epoch,
        "validationAccuracy": course.chosen_epoch.validation_accuracy,
        "trainingImages": len(data.train),
        "seconds": sum(epoch.seconds for epoch in course.epochs),
    }
