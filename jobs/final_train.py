"""The stage `final-train`: the best configuration, trained to the end."""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
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
from jobs.manifest import MANIFEST
from jobs.outage import patiently
from jobs.prepared import check_prepared
from jobs.result import EPOCHS, FINAL, MODEL, WEIGHTS, trained_trial
from jobs.settings import Settings
from jobs.status import SweepStatus, TrialStatus, sweep_status
from jobs.storage import FencedStorage
from jobs.stored_dataset import StoredDataset, read_dataset
from resnet_core.build import build_network
from resnet_core.checkpoint import load_checkpoint, save_checkpoint
from resnet_core.count import check_budget, count_macs, count_parameters
from resnet_core.device import describe, select_device, select_precision
from resnet_core.epoch import EpochResult
from resnet_core.model import ResNet
from resnet_core.seeds import derive_seed
from resnet_core.train import Checkpoint, TrainingData, first_batch, train

log = logging.getLogger(__name__)

T = TypeVar("T")


def run(experiment: Experiment, settings: Settings, root: Artifacts) -> None:
    """Trains with the parameters of the best complete trial; goes on from its last checkpoint.

    A final training of a trial that is no longer the best, since more were run, is done anew.

    Raises:
        Interrupted: the process was asked to end; the checkpoint of the last epoch is kept.
        SweepNotOver: it has trials that are not settled.
        TooFewCompleted: it has fewer complete trials than sweep.minCompleted.
        Diverged: the loss became infinite or not a number.
        OutageTooLong, Refused: database or artifacts cannot be reached.

    """
    artifacts = root.under(experiment.study_name)

    def with_artifacts(action: Callable[[], T]) -> T:
        return patiently(action, place=root.location, deadline_seconds=settings.outage_deadline_seconds)

    best = _best_trial(experiment, settings)
    done_for = with_artifacts(lambda: trained_trial(artifacts))
    if done_for == best.number:
        log.info("the final training is done")
        with_artifacts(Checkpoints(artifacts, FINAL).remove)
        return
    if done_for is not None:
        log.info("trial %d is better than trial %d, whose final training is dropped", best.number, done_for)
        with_artifacts(lambda: _remove(artifacts))
    recipe, pruning = experiment.with_parameters(best.parameters)
    device = select_device(settings.device)
    dataset = with_artifacts(lambda: read_dataset(root, experiment.study_name))
    merge = experiment.final_train.data == "train+validation"
    data = with_artifacts(lambda: load_training_data(root, experiment, dataset, device, merge=merge))
    seed = derive_seed(experiment.seed, "final")
    network = build_network(
        experiment.model,
        pruning,
        len(dataset.classes),
        dropout=recipe.dropout,
        seed=seed,
        batch=first_batch(data, recipe.batch_size),
    ).to(device)
    check_budget(network.config(), experiment.budget.parameters)
    log.info("final training of trial %d on %s: %s", best.number, describe(device), json.dumps(best.parameters))

    checkpoints = Checkpoints(artifacts, f"{FINAL}/trial-{best.number}")
    keeper = _Keeper(experiment, artifacts, checkpoints, settings)
    trained = train(
        network,
        recipe,
        data,
        experiment.final_train.epochs,
        seed=derive_seed(seed, "training"),
        checkpoint=keeper.resume(device),
        on_step=interrupt.check,
        on_epoch=keeper.on_epoch,
    )
    weights = {name: tensor.contiguous() for name, tensor in keeper.chosen(trained).items()}

    def write_weights() -> None:
        with artifacts.writing(WEIGHTS) as path:
            save_file(weights, path)

    with_artifacts(write_weights)
    card = _describe_model(dataset, data, trained, best, keeper)
    card["precision"] = str(select_precision(recipe.precision, device)).removeprefix("torch.")
    with_artifacts(lambda: artifacts.write_json(MODEL, card))
    with_artifacts(Checkpoints(artifacts, FINAL).remove)  # also those of a trial that was the best before


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


class _Keeper:
    """Keeps the course of the training: checkpoints, figures and, if asked for, the best epoch's weights."""

    def __init__(
        self, experiment: Experiment, artifacts: Artifacts, checkpoints: Checkpoints, settings: Settings
    ) -> None:
        self._artifacts, self._checkpoints = artifacts, checkpoints
        self._deadline_seconds = settings.outage_deadline_seconds
        self.epochs: list[EpochResult] = []
        self.best: dict[str, Any] | None = None
        self._total = experiment.final_train.epochs
        self._selects = experiment.final_train.select == "best"

    def resume(self, device: torch.device) -> Checkpoint | None:
        saved = self._patiently(lambda: self._checkpoints.load(lambda path: load_checkpoint(path, device)))
        if saved is None:
            return None
        self.epochs = [EpochResult(**row) for row in saved["epochs"]]
        self.best = saved["best"]
        log.info("final training goes on after epoch %d", self.epochs[-1].epoch)
        training: Checkpoint = saved["training"]
        return training

    def on_epoch(self, result: EpochResult, training: Checkpoint) -> None:
        self.epochs.append(result)
        accuracy = result.validation_accuracy
        if self._selects and accuracy is not None and (self.best is None or accuracy > self.best["accuracy"]):
            weights = {name: tensor.clone() for name, tensor in training["evaluated"].items()}
            self.best = {"epoch": result.epoch, "accuracy": accuracy, "weights": weights}
        rows = [asdict(epoch) for epoch in self.epochs]
        checkpoint = {"training": training, "epochs": rows, "best": self.best}

        def write(path: Path) -> None:
            save_checkpoint(checkpoint, path)

        self._patiently(lambda: self._checkpoints.save(write))
        text = "".join(json.dumps(row) + "\n" for row in rows)
        self._patiently(lambda: self._artifacts.write_text(EPOCHS, text))
        validation = "" if accuracy is None else f", validation accuracy {accuracy:.4f}"
        log.info(
            "final training epoch %d/%d: training loss %.4f%s, %.1f s",
            result.epoch,
            self._total,
            result.train_loss,
            validation,
            result.seconds,
        )

    def chosen(self, trained: ResNet) -> dict[str, torch.Tensor]:
        weights: dict[str, torch.Tensor] = self.best["weights"] if self.best else trained.state_dict()
        return weights

    def _patiently(self, action: Callable[[], T]) -> T:
        return patiently(action, place=self._artifacts.location, deadline_seconds=self._deadline_seconds)

    @property
    def chosen_epoch(self) -> int:
        return int(self.best["epoch"]) if self.best else self.epochs[-1].epoch


def _remove(artifacts: Artifacts) -> None:
    """Takes away a final training with all that follows from it, what says that it is done first."""
    for key in (MANIFEST, MODEL, *artifacts.listing("evaluation"), *artifacts.listing(FINAL)):
        artifacts.remove(key)


def _describe_model(
    dataset: StoredDataset, data: TrainingData, trained: ResNet, best: TrialStatus, keeper: _Keeper
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
        "epoch": keeper.chosen_epoch,
        "trainingImages": len(data.train),
        "seconds": sum(epoch.seconds for epoch in keeper.epochs),
    }
