"""How long a CPU takes for a layer, done in several ways.

The time is that of the calling thread on a core, not that of the clock on the wall, in which other processes on the
same cores, and limits of a container, show more than the layer itself does.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_core.arithmetic import Arithmetic
from resnet_core.cpu import batch_norm, weight_gradient, winograd

# Rounds begin as long as the first of these; until there are so many of them, as long as the second.
SECONDS, PATIENCE = 0.02, 1.0
LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Layer:
    """A 3x3 convolution with its batch norm and ReLU; without `filters` only batch norm and ReLU.

    It sees `images` maps of `rows` x `columns` pixels, and computes on `threads` threads.
    """

    channels: int
    images: int
    rows: int
    columns: int
    threads: int
    filters: int | None = None

    def __str__(self) -> str:
        """Its size in words."""
        filters = "" if self.filters in (None, self.channels) else f" to {self.filters}"
        threads = "" if self.threads == 1 else f" on {self.threads} threads"
        return f"{self.images} x {self.rows} x {self.columns} pixels of {self.channels}{filters} channels{threads}"


@dataclass(frozen=True)
class Timed:
    """The least seconds of a training step of a layer, in two ways."""

    layer: Layer
    before: float
    after: float

    @property
    def gain(self) -> float:
        """How many times as fast the second way is."""
        return self.before / self.after


Clock = Callable[[Layer, Arithmetic, Arithmetic], Timed | None]
_found: dict[tuple[Layer, Arithmetic, Arithmetic], Timed] = {}


def timed(layer: Layer, before: Arithmetic, after: Arithmetic) -> Timed | None:
    """As `measure`, but once in a process: what was found holds for its later trainings."""
    key = layer, before, after
    found = _found.get(key) or measure(*key)
    if found is not None:
        _found[key] = found
    return found


def measure(layer: Layer, before: Arithmetic, after: Arithmetic) -> Timed | None:
    """Times both ways in turn.

    Changes neither the state of a generator nor the number of threads. Returns None where so much else runs on this
    machine that there was no time for enough rounds to tell.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(layer.threads)
    try:
        return _measure(layer, before, after)
    finally:
        torch.set_num_threads(threads)


def _measure(layer: Layer, before: Arithmetic, after: Arithmetic) -> Timed | None:
    steps = [_step(layer, arithmetic) for arithmetic in (before, after)]
    for step in steps:  # the first of its shape takes several times as long
        step()
    rounds: list[list[float]] = []
    began = time.perf_counter()
    while time.perf_counter() - began < (SECONDS if len(rounds) >= LEAST_ROUNDS else PATIENCE):
        rounds.append([_seconds(step) for step in steps])
    return Timed(layer, *map(min, zip(*rounds, strict=True))) if len(rounds) >= LEAST_ROUNDS else None


def _seconds(step: Callable[[], None]) -> float:
    began = time.thread_time()
    step()
    return time.thread_time() - began


def _step(layer: Layer, arithmetic: Arithmetic) -> Callable[[], None]:
    """Forward and backward pass of the layer, for the gradients of its input and its parameters."""
    filters = layer.filters
    convolve: Callable[[Tensor, Tensor], Tensor] = partial(F.conv2d, padding=1)
    if arithmetic.winograd:
        convolve = winograd.conv2d
    elif arithmetic.product_gradient:
        convolve = weight_gradient.conv2d
    x = _maps(layer).to(arithmetic.precision).requires_grad_()
    kernel = None
    if filters is not None:
        kernel = torch.full((filters, layer.channels, 3, 3), 1 / (9 * layer.channels))
        kernel = kernel.contiguous(memory_format=torch.channels_last).requires_grad_()
    width = filters or layer.channels
    weight, bias = torch.ones(width, requires_grad=True), torch.zeros(width, requires_grad=True)
    mean, variance = torch.zeros(width), torch.ones(width)
    leaves = [leaf for leaf in (x, kernel, weight, bias) if leaf is not None]

    def step() -> None:
        with arithmetic.autocast(x.device):
            y = x if kernel is None else convolve(x, kernel)
            if arithmetic.grouped_batch_norm:
                y = batch_norm.batch_norm(y, weight, bias, mean, variance, momentum=0.1, eps=1e-5)
            else:
                y = F.batch_norm(y, mean, variance, weight, bias, training=True)
            y = F.relu(y, inplace=True)
        y.sum().backward()  # of a number, since a gradient that is given makes torch import modules for seconds
        for leaf in leaves:
            leaf.grad = None

    return step


def _maps(layer: Layer) -> Tensor:
    """Input that varies, drawn from no generator: `(N, C, H, W)`, channels_last."""
    count = layer.images * layer.rows * layer.columns * layer.channels
    values = torch.arange(count).remainder(7).float() - 3
    return values.view(layer.images, layer.rows, layer.columns, layer.channels).permute(0, 3, 1, 2)
