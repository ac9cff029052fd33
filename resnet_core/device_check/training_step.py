"""The training step: how long one takes, and how many operations it launches, in every way that the device has."""

import time
from itertools import pairwise
from statistics import median
from typing import Any, Literal

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from resnet_core.arithmetic_choice import choose_arithmetic
from resnet_core.batches import Chunk
from resnet_core.build import build_network
from resnet_core.config import ModelConfig, PruningConfig, TrainingConfig
from resnet_core.cpu.layers import use_faster_layers
from resnet_core.device_check.hardware import GIB
from resnet_core.device_check.rates import PRECISIONS, finish
from resnet_core.device_check.row import NotApplicable, Wrong
from resnet_core.graphed_steps import GraphedSteps, PlainSteps
from resnet_core.step import Step
from resnet_core.training_state import TrainingState

FIRST_STEPS = 5  # in which kernels are chosen, memory is allocated and a step is captured
FEWEST_STEPS, LONGEST_SECONDS = 3, 4.0  # that are measured
CLASSES, SIDE = 10, 32
SLOWER = 0.6  # of the time in one precision, in the other: it is then the better one, and not just measured badly
Precision = Literal["auto", "fp32", "bf16"]
RESNET18, SMALL = ModelConfig(), ModelConfig(depths=(1, 1, 1), width=16, strides=(1, 2, 2))
# Of a network that was pruned to odd widths.
PRUNED = PruningConfig(method="amounts", amounts=(0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.3, 0.3))


class OperationCounter(TorchDispatchMode):
    """Counts the operations that are given to the device, forward, backward and update; views compute nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


class Training:
    """Steps of a network with random images, one batch after the other."""

    def __init__(
        self, device: torch.device, precision: Precision = "auto", *, graphed: bool = False, padded: bool = False
    ) -> None:
        """On a CPU the network is so small that two cores are done in time."""
        on_gpu = device.type == "cuda"
        self.device, self.network_name = device, "ResNet-18, pruned" if on_gpu else "a ResNet of 3 blocks, width 16"
        self.batch = 128 if on_gpu else 32
        recipe = TrainingConfig(batch_size=self.batch)
        model = build_network(*((RESNET18, PRUNED) if on_gpu else (SMALL, PruningConfig())), CLASSES, seed=0)
        self.arithmetic = choose_arithmetic(precision, model.config(), SIDE, self.batch, device)
        use_faster_layers(model, self.arithmetic)
        model.to(device).to(memory_format=torch.channels_last).train()
        self.state = TrainingState(model, recipe, padded=padded)
        step = Step(self.state, self.state.network, recipe, self.arithmetic)
        self.steps = GraphedSteps(self.state, step, 1) if graphed else PlainSteps(step)
        self._count, self._chunk = 0, self._random_chunk()

    def _random_chunk(self) -> Chunk:
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(1, self.batch, SIDE, SIDE, 3, generator=generator).to(self.arithmetic.precision)
        labels = torch.randint(0, CLASSES, (1, self.batch), generator=generator)
        return Chunk(images.to(self.device), labels.to(self.device), None, None)

    def step(self) -> None:
        self.steps.load(self._chunk, [0.01], 0)
        self.steps.run(0, first=self._count == 0, seed=lambda: None)
        self._count += 1


def find_step(device: torch.device) -> str:
    """How long a training step takes, what it launches, and on a GPU the most memory that it needs."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    training = Training(device)
    seconds = median(times_of(training))
    words = f"{_shown(seconds)} in the median for {training.batch} images of {SIDE}x{SIDE} ({training.network_name})"
    if device.type == "cuda":
        words += f", {torch.cuda.max_memory_allocated(device) / GIB:.2f} GiB at most"
    with OperationCounter() as counter:
        training.step()
    return f"{words}, {counter.count:,} operations"


def find_captured_step(device: torch.device) -> str:
    """How long a step takes that a CUDA graph replays; wrong if none is replayed, as it would compute otherwise."""
    if device.type != "cuda":
        raise NotApplicable("not applicable on a CPU")
    training = Training(device, graphed=True)
    seconds = median(times_of(training))
    assert isinstance(training.steps, GraphedSteps)
    if training.steps.refusal:
        raise Wrong(training.steps.refusal, "trainings go on plain, which is slower; update the driver or torch")
    return f"{_shown(seconds)} in the median, one launch, the same as a plain step"


def find_padded_widths(device: torch.device) -> str:
    """What it gains to pad odd widths to multiples of 8 for tensor cores."""
    if device.type != "cuda":
        raise NotApplicable("not applicable on a CPU")
    odd, padded = (median(times_of(Training(device, "bf16", graphed=True, padded=p))) for p in (False, True))
    return f"{_shown(odd)} with odd widths, {_shown(padded)} with padded ones, which trainings in bf16 use"


def find_precision(device: torch.device) -> str:
    """The precision that trainings choose by themselves; wrong if their steps are clearly slower in it."""
    arithmetic = Training(device).arithmetic
    (other,) = PRECISIONS.keys() - {arithmetic.precision}
    # The fastest of many steps: whatever else runs on the machine makes some of them slower.
    seconds = {dtype: min(times_of(Training(device, PRECISIONS[dtype]))) for dtype in PRECISIONS}
    steps = ", ".join(f"{_shown(seconds[dtype])} in {PRECISIONS[dtype]}" for dtype in PRECISIONS)
    found = f"auto is {arithmetic}; the fastest step takes {steps}"
    if SLOWER * seconds[arithmetic.precision] > seconds[other]:
        raise Wrong(found, f"set training.precision={PRECISIONS[other]}")
    return found


def times_of(training: Training, steps: int = 20) -> list[float]:
    """Seconds of steps one after the other.

    On a device that is so slow that they take longer than `LONGEST_SECONDS`, there are fewer than `steps`.
    """
    for _ in range(FIRST_STEPS):
        training.step()
    times: list[float] = []
    while len(times) <= steps and (len(times) <= FEWEST_STEPS or times[-1] - times[0] <= LONGEST_SECONDS):
        training.step()
        finish(training.device)
        times.append(time.perf_counter())
    return [after - before for before, after in pairwise(times)]


def _shown(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"
