"""The training step: how long one takes, and how many operations it launches."""

import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from statistics import median
from typing import Any, Literal

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from resnet_core.build import build_network
from resnet_core.config import ModelConfig, PruningConfig, TrainingConfig
from resnet_core.data import Images
from resnet_core.device import select_precision
from resnet_core.device_check.hardware import GIB
from resnet_core.device_check.rates import PRECISIONS, finish
from resnet_core.device_check.row import Wrong
from resnet_core.train import TrainingData, train

FIRST_STEPS = 5  # in which kernels are chosen and memory is allocated
FEWEST_STEPS, LONGEST_SECONDS = 3, 4.0  # that are measured
CLASSES, SIDE = 10, 32
SLOWER = 0.6  # of the time in one precision, in the other: it is then the better one, and not just measured badly
Precision = Literal["auto", "fp32", "bf16"]
RESNET18, SMALL = ModelConfig(), ModelConfig(depths=(1, 1, 1), width=16, strides=(1, 2, 2))


class Enough(Exception):
    """The training has made as many steps as were to be measured."""


class OperationCounter(TorchDispatchMode):
    """Counts the operations that are given to the device, forward, backward and update; views compute nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def find_step(device: torch.device) -> str:
    """How long a training step takes, what it launches, and on a GPU the most memory that it needs."""
    model, recipe = workload(device)
    network = "ResNet-18" if model is RESNET18 else "a ResNet of 3 blocks, width 16"
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = median(step_seconds(device))
    words = f"{_shown(seconds)} in the median for {recipe.batch_size} images of {SIDE}x{SIDE} ({network})"
    if device.type == "cuda":
        words += f", {torch.cuda.max_memory_allocated(device) / GIB:.2f} GiB at most"
    return f"{words}, {operations_of_a_step(device):,} operations"


def find_precision(device: torch.device) -> str:
    """The precision that trainings choose by themselves; wrong if their steps are clearly slower in it."""
    chosen = select_precision("auto", device)
    (other,) = PRECISIONS.keys() - {chosen}
    # The fastest of many steps: whatever else runs on the machine makes some of them slower.
    seconds = {dtype: min(step_seconds(device, precision=PRECISIONS[dtype])) for dtype in PRECISIONS}
    steps = ", ".join(f"{_shown(seconds[dtype])} in {PRECISIONS[dtype]}" for dtype in PRECISIONS)
    found = f"auto is {PRECISIONS[chosen]}; the fastest step takes {steps}"
    if SLOWER * seconds[chosen] > seconds[other]:
        raise Wrong(found, f"set training.precision={PRECISIONS[other]}")
    return found


def step_seconds(device: torch.device, steps: int = 20, precision: Precision = "auto") -> list[float]:
    """Seconds of training steps one after the other, without the augmentation.

    On a device that is so slow that it takes longer than `LONGEST_SECONDS`, there are fewer than `steps`.
    """
    times: list[float] = []

    def on_step(step: int) -> None:
        if step < FIRST_STEPS:
            return
        finish(device)
        times.append(time.perf_counter())
        if len(times) > steps or (len(times) > FEWEST_STEPS and times[-1] - times[0] > LONGEST_SECONDS):
            raise Enough

    with suppress(Enough):
        _train(device, FIRST_STEPS + steps + 1, on_step, precision)
    return [after - before for before, after in pairwise(times)]


def operations_of_a_step(device: torch.device) -> int:
    """How many operations one training step launches."""
    counts: list[int] = []
    with OperationCounter() as counter:
        _train(device, FIRST_STEPS, lambda _step: counts.append(counter.count))
    return counts[-1] - counts[-2]


def workload(device: torch.device) -> tuple[ModelConfig, TrainingConfig]:
    """Network and recipe of the measured step: so small on a CPU that two cores are done in time."""
    if device.type == "cuda":
        return RESNET18, TrainingConfig(batch_size=128)
    return SMALL, TrainingConfig(batch_size=32)


def _shown(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def _train(
    device: torch.device,
    steps: int,
    on_step: Callable[[int], None],
    precision: Precision = "auto",
) -> None:
    """Trains for one epoch of so many steps with random images. `on_step` gets the number of each before it is made."""
    model, recipe = workload(device)
    recipe = recipe.model_copy(update={"precision": precision})
    network = build_network(model, PruningConfig(), CLASSES, seed=0).to(device)
    count, generator = recipe.batch_size * steps, torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    images = Images(pixels.to(device), labels.to(device))
    data = TrainingData(images, None, torch.full((3,), 0.5, device=device), torch.full((3,), 0.25, device=device))
    numbers = iter(range(steps))
    train(network, recipe, data, epochs=1, seed=0, on_step=lambda: on_step(next(numbers)))
