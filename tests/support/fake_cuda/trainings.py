"""Trains, validates, predicts and saves on a GPU that is not there, by `python -m tests.support.fake_cuda.trainings`.

It has to run in a process of its own, with the shim (shim.c) preloaded. It prints an object a line: for each case what a
step costs once it is replayed, what the augmentation of an epoch costs, and what the end of an epoch does.
"""

import json
import logging
import os
import sys
from functools import partial
from typing import Any
from unittest import mock

import torch

from resnet_core.batches import EpochBatches, TrainingData
from resnet_core.build import build_network
from resnet_core.config import AugmentationConfig, ModelConfig, TrainingConfig
from resnet_core.data import Images
from resnet_core.description import NetworkConfig
from resnet_core.device import select_device
from resnet_core.device_check import hardware, rates, training_step
from resnet_core.device_check.row import look
from resnet_core.model import ResNet
from resnet_core.predict import predict
from resnet_core.pruning import planned_config
from resnet_core.train import train
from resnet_core.training_state import Checkpoint
from tests.support.fake_cuda import Counts, fake_cuda, really

STEPS, BATCH, EPOCH = 8, 128, 45_056

EVERYTHING: dict[str, Any] = {
    "ema": 0.999, "clip_norm": 1.0, "label_smoothing": 0.1, "dropout": 0.2,
    "augmentation": {"policy": "trivialaugment", "erasing": 0.25, "mixup": 0.2, "cutmix": 1.0},
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "fp32": {"precision": "fp32"},
    "averaged weights": {"ema": 0.999},
    "clipped": {"clip_norm": 1.0},
    "smoothed": {"label_smoothing": 0.1},
    "dropout": {"dropout": 0.2},
    "mixup and cutmix": {"augmentation": {"mixup": 0.2, "cutmix": 1.0}},
    "alternating, reflected": {"augmentation": {"alternating_flip": True, "crop_padding_mode": "reflect"}},
    "erasing": {"augmentation": {"erasing": 0.25}},
    "AutoAugment": {"augmentation": {"policy": "autoaugment"}},
    "TrivialAugment": {"augmentation": {"policy": "trivialaugment"}},
    **{
        f"everything, {optimizer}": {**EVERYTHING, "optimizer": optimizer, "schedule": {"name": schedule}}
        for optimizer, schedule in (
            ("sgd", "cosine"),
            ("rmsprop", "linear"),
            ("adam", "step"),
            ("adamw", "cyclic"),
            ("adadelta", "constant"),
            ("adagrad", "cosine"),
            ("asgd", "cosine"),
            ("muon", "linear"),
        )
    },
}


class Saver:
    """Wants a checkpoint in the middle of the epoch, and keeps where the tensors of the last one lie."""

    def __init__(self) -> None:
        self.asked, self.devices = 0, set[str]()

    def due(self) -> bool:
        self.asked += 1
        return self.asked == STEPS // 2

    def save(self, checkpoint: Checkpoint) -> None:
        leaves = torch.utils._pytree.tree_leaves(checkpoint)
        self.devices = {str(leaf.device) for leaf in leaves if isinstance(leaf, torch.Tensor)}


def images(number: int, device: torch.device) -> Images:
    return Images(
        torch.empty(number, 3, 32, 32, dtype=torch.uint8, device=device),
        torch.empty(number, dtype=torch.int64, device=device),
    )


def network(device: torch.device, dropout: float = 0.0) -> ResNet:
    config = planned_config(NetworkConfig.from_model(ModelConfig(), 10), training_step.PRUNED)
    with device:
        return ResNet(config, dropout)


def costs_of(recipe: TrainingConfig, counts: Counts, device: torch.device) -> dict[str, Any]:
    """What `train` makes of a recipe: a replayed step, and what the end of an epoch costs besides its last step."""
    mean, std = torch.empty(2, 3, device=device)
    data = TrainingData(images(STEPS * BATCH, device), images(1000, device), mean, std)
    before_steps: list[dict[str, int]] = []
    ends: list[dict[str, int]] = []
    saver, model = Saver(), network(device, recipe.dropout)
    train(
        model,
        recipe,
        data,
        2,
        seed=0,
        saver=saver,
        on_step=lambda: before_steps.append(counts.totals()),
        on_epoch=lambda _result, _evaluated: ends.append(counts.totals()),
    )
    step, again = (_difference(before_steps[-number - 1], before_steps[-number]) for number in (1, 2))
    assert step == again, "each step costs what the next one does"
    return {
        "step": step,
        "end of an epoch": _difference(step, _difference(before_steps[-1], ends[-1])),
        "checkpoint": sorted(saver.devices),
    }


def _difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in after}


def augmentation_of(recipe: TrainingConfig, counts: Counts, device: torch.device) -> dict[str, int]:
    """What one epoch of CIFAR-10's size costs until its batches are ready."""
    mean, std = torch.empty(2, 3, device=device)
    data = TrainingData(images(EPOCH, device), None, mean, std)
    before = counts.totals()
    batches = EpochBatches.draw(data, recipe, 0, 1, dtype=torch.bfloat16)
    drawn = counts.totals()
    for _ in batches.chunks():
        pass
    made = counts.totals()
    return {
        "operations": made["operations"] - before["operations"],
        "transfers": drawn["transfers"] - before["transfers"],
        "transfers of chunks": made["transfers"] - drawn["transfers"],
        "waits": made["waits"] - before["waits"],
    }


def main(names: list[str]) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for name in names or CASES:
        options = dict(CASES[name])
        augmentation = AugmentationConfig(**options.pop("augmentation", {}))
        recipe = TrainingConfig(lr=0.01, batch_size=BATCH, augmentation=augmentation, **options)
        with fake_cuda(counts := Counts()):
            device = select_device("cuda")
            found = costs_of(recipe, counts, device)
        with fake_cuda(counts := Counts()):
            found["augmentation"] = augmentation_of(recipe, counts, device)
        print(json.dumps({"case": name, **found}), flush=True)
    with fake_cuda(counts := Counts()):
        device = select_device("cuda")
        model = network(device).to(memory_format=torch.channels_last)
        mean, std = torch.empty(2, 3, device=device)
        built = counts.totals()
        for flip in (False, True):
            logits = predict(model, images(5000, device).images, mean, std, torch.bfloat16, flip=flip)
            assert logits.is_cuda
        print(json.dumps({"case": "predict", **_difference(built, counts.totals())}), flush=True)
    print(json.dumps({"case": "check", "rows": check()}), flush=True)


def check() -> dict[str, tuple[str, str]]:
    """The rows of `check --device cuda` that need no other process, each with its state and what was found."""
    rows = {}
    changes = {
        "build_network": really(build_network),  # on the CPU, where channels are chosen by their weights
        "LONGEST_SECONDS": 0.0,  # as few steps as can be
        "SLOWER": 0.0,  # their times mean nothing
    }
    with mock.patch.multiple(training_step, **changes), fake_cuda(Counts()):
        found: list[torch.device] = []
        for name, find in {
            "device": partial(hardware.find_device, "cuda", found),
            "memory": lambda: hardware.find_memory(found[0]),
            "matrix product": lambda: rates.find_rate(rates.product, found[0]),
            "convolution": lambda: rates.find_rate(rates.convolution, found[0]),
            "training step": lambda: training_step.find_step(found[0]),
            "captured step": lambda: training_step.find_captured_step(found[0]),
            "padded widths": lambda: training_step.find_padded_widths(found[0]),
            "precision": lambda: training_step.find_precision(found[0]),
        }.items():
            row = look(name, find, "")
            rows[name] = (row.state, row.found)
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # without the libraries' farewells to a driver that was never there
