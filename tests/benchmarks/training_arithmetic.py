"""What the device makes of a precision: large products, and the convolutions of the networks."""

import time
from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional as F

from resnet_core.cpu import weight_gradient, winograd
from tests.benchmarks.training_setup import BATCH, Bench, print_table

Convolve = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
direct = partial(F.conv2d, padding=1)

# channels, side: 3x3, as many filters
CONVOLUTIONS = ((64, 32), (58, 32), (128, 16), (256, 8), (205, 8), (96, 8), (512, 4), (359, 4), (96, 4))
REPEATS = 10


def product_rate(device: torch.device, precision: torch.dtype) -> float:
    """FLOP/s of a product of two square matrices, the best of several: what a network could reach at most."""
    side = 8192 if device.type == "cuda" else 2048
    left, right = (torch.randn(side, side, dtype=precision, device=device) for _ in range(2))
    return 2 * side**3 / _seconds(device, lambda: left @ right)


def run(bench: Bench) -> None:
    print(
        f"\nGFLOP/s, the best of {REPEATS}: 3x3 convolutions of a batch of {BATCH}, channels_last; with fewer "
        "multiplications (Winograd) as many as the direct sum would take.\n"
    )
    ways: dict[str, tuple[torch.dtype, Convolve]] = {
        "float32": (torch.float32, direct),
        "bfloat16": (torch.bfloat16, direct),
    }
    if not bench.on_gpu:
        ways["float32, Winograd"] = (torch.float32, winograd.conv2d)
        ways["bfloat16, gradient as product"] = (torch.bfloat16, weight_gradient.conv2d)
    products = (product_rate(bench.device, precision) for precision, _ in ways.values())
    rows = [["matrix product", *map(_giga, products)]]
    for channels, side in CONVOLUTIONS:
        each = [
            _convolution_rates(bench.device, precision, convolve, channels, side)
            if convolve is direct or side <= max(winograd.SIDES)
            else (None, None)
            for precision, convolve in ways.values()
        ]
        for pass_, values in zip(("forward", "backward"), zip(*each, strict=True), strict=True):
            rows.append([f"{channels} channels, {side} x {side}, {pass_}", *map(_giga, values)])
    print_table(["", *ways], rows)


def _giga(rate: float | None) -> str:
    return "" if rate is None else f"{rate / 1e9:,.0f}"


def _convolution_rates(
    device: torch.device, precision: torch.dtype, convolve: Convolve, channels: int, side: int
) -> tuple[float, float]:
    """Forward and backward FLOP/s."""

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=precision, device=device).to(memory_format=torch.channels_last)

    images = drawn(BATCH, channels, side, side).requires_grad_()
    weight = drawn(channels, channels, 3, 3).requires_grad_()
    gradient = drawn(BATCH, channels, side, side)

    def forward() -> torch.Tensor:
        return convolve(images, weight)

    def both() -> None:
        torch.autograd.grad(forward(), (images, weight), gradient)

    flops = 2 * BATCH * side**2 * channels**2 * 9
    first = _seconds(device, forward)
    return flops / first, 2 * flops / (_seconds(device, both) - first)


def _seconds(device: torch.device, work: Callable[[], object]) -> float:
    """The least of several."""
    times = []
    for _ in range(REPEATS + 2):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times[2:])
