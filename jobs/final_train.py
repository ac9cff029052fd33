"""The stage `final-train`: the best configuration, trained to the end."""

import json
import logging
from dataclasses import asdict
from typing import Any

import torch
from safetensors.torch import save_file

from jobs import interrupt
from jobs.artifacts import Artifacts
from jobs.checkpoints import Checkpoints
from jobs.database import FencedStorage
from jobs.datasets import StoredDataset, load_training_data, read_dataset
from jobs.experiment import Experiment
from jobs.settings import Settings
from jobs.status import TrialStatus, sweep_status
from resnet_core.build import build_network
from resnet_core.count import check_budget, count_macs, count_parameters
from resnet_core.device import describe, select_device, select_precision
from resnet_core.model import ResNet
from resnet_core.seeds import derive_seed
from resnet_core.train import Checkpoint, EpochResult, TrainingData, first_batch, train

log = logging.getLogger(__name__)

PREFIX = "final"
MODEL = f"{PREFIX}/model.json"  # written last: where it lies, the training is done
WEIGHTS = f"{PREFIX}/model.safetensors"
EPOCHS = f"{PREFIX}/epochs.jsonl"


def run(experiment: Experiment, settings: Settings, root: Artifacts) -> None:
    """Trains with the parameters of the best complete trial; goes on from its last checkpoint.

    Raises:
        Interrupted: the process was asked to end; the checkpoint of the last epoch is kept.
        RuntimeError: no trial of the sweep is complete.
        Diverged: the loss became infinite or not a number.

    """
    artifacts = root.under(experiment.study_name)
    if artifacts.exists(MODEL):
        log.info("the final training is done")
        return
    best = best_trial(experiment, settings)
    recipe, pruning = experiment.with_parameters(best.parameters)
    device = select_device(settings.device)
    dataset = read_dataset(root, experiment.study_name)
    merge = experiment.final_train.data == "train+validation"
    data = load_training_data(root, experiment, dataset, device, merge=merge)
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

    keeper = _Keeper(experiment, artifacts, device)
    trained = train(
        network,
        recipe,
        data,
        experiment.final_train.epochs,
        seed=derive_seed(seed, "training"),
        checkpoint=keeper.resume(),
        on_step=interrupt.check,
        on_epoch=keeper.on_epoch,
    )
    weights = {name: tensor.contiguous() for name, tensor in keeper.chosen(trained).items()}
    with artifacts.writing(WEIGHTS) as path:
        save_file(weights, path)
    card = _describe_model(dataset, data, trained, best, keeper)
    card["precision"] = str(select_precision(recipe.precision, device)).removeprefix("torch.")
    artifacts.write_json(MODEL, card)
    keeper.checkpoints.remove()


def best_trial(experiment: Experiment, settings: Settings) -> TrialStatus:
    """The complete trial with the highest validation accuracy.

    Raises:
        RuntimeError: there is none.

    """
    storage = FencedStorage(settings.database_url)
    best = sweep_status(storage.engine, storage, experiment).best
    if best is None:
        raise RuntimeError("no trial of the sweep is complete, so there is none to train to the end")
    return best


class _Keeper:
    """Keeps the course of the training: checkpoints, figures and, if asked for, the best epoch's weights."""

    def __init__(self, experiment: Experiment, artifacts: Artifacts, device: torch.device) -> None:
        self._artifacts = artifacts
        self.checkpoints = Checkpoints(artifacts, PREFIX)
        self.epochs: list[EpochResult] = []
        self.best: dict[str, Any] | None = None
        self._total = experiment.final_train.epochs
        self._selects = experiment.final_train.select == "best"
        self._device = device

    def resume(self) -> Checkpoint | None:
        saved = self.checkpoints.load(self._device)
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
        self.checkpoints.save({"training": training, "epochs": rows, "best": self.best})
        self._artifacts.write_text(EPOCHS, "".join(json.dumps(row) + "\n" for row in rows))
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

    @property
    def chosen_epoch(self) -> int:
        return int(self.best["epoch"]) if self.best else self.epochs[-1].epoch


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


def read_epochs(artifacts: Artifacts) -> list[EpochResult]:
    """The course of the final training."""
    return [EpochResult(**json.loads(line)) for line in artifacts.read_text(EPOCHS).splitlines()]
