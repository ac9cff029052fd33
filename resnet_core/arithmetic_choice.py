"""Chooses in what a training computes: what the user asks for, else what is fastest on this device.

Of a CPU this is measured at the start of a training, in less than a second. Its flags do not tell: with AVX512-BF16,
one CPU multiplies in bf16 twice as fast as in fp32, and another half as fast (tests/benchmarks/RESULTS.md).
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Literal, NamedTuple

import torch

from resnet_core.arithmetic import Arithmetic
from resnet_core.cpu import batch_norm, weight_gradient, winograd
from resnet_core.cpu.timing import Clock, Layer, Timed, timed
from resnet_core.description import NetworkConfig
from resnet_core.distributed import ALONE, Group

# How many times as fast a way has to be for it to be taken. bf16 has to gain more, since it rounds more coarsely and
# what surrounds the layers of a network gains nothing.
BF16_GAIN, GAIN = 1.15, 1.1
# What a measured layer has at most. A step of so many multiply-accumulates takes 30 ms with AVX-512. With much fewer
# the weights, which are converted in every step, weigh more than the pixels: bf16 gains 1.2 there and 2.7 in training.
MACS, WIDTH, NORM_PIXELS = 600_000_000, 256, 16_384

FP32, BF16 = Arithmetic(torch.float32), Arithmetic(torch.bfloat16)
WINOGRAD = Arithmetic(torch.float32, winograd=True)


class Convolution(NamedTuple):
    """Of 3x3 with stride 1, between maps of `side` x `side` pixels."""

    channels: int
    filters: int
    side: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return 9 * self.channels * self.filters * self.side**2


def choose_arithmetic(
    precision: Literal["auto", "fp32", "bf16"],
    network: NetworkConfig,
    image_size: int,
    batch_size: int,
    device: torch.device,
    *,
    group: Group = ALONE,
    clock: Clock = timed,
) -> Arithmetic:
    """The choice for a training of `network`, of all ranks the one that rank 0 makes.

    `auto` is bf16 on CUDA GPUs from Ampere on, and on a CPU where it is measured to be faster than fp32 by a clear
    margin. Whether this CPU uses the faster layers is measured then, too. What could not be measured is not taken.

    Args:
        precision: `fp32` and `bf16` are taken as they are, with torch's own layers, and nothing is measured: two runs
            on one CPU then compute the same, which after a measurement they need not.
        network: its widths.
        image_size: side in pixels.
        batch_size: images that this process computes at a time.
        device: which computes.
        group: the ranks of the training.
        clock: times a layer in two ways.

    """
    if precision != "auto":
        return replace(FP32 if precision == "fp32" else BF16, reason=f"training.precision={precision}")
    chosen = FP32

    def choose() -> None:
        nonlocal chosen
        if device.type == "cuda":
            chosen = _choose_on_gpu(device)
        else:
            chosen = _choose_on_cpu(network, image_size, batch_size, clock)

    group.first(choose)
    return Arithmetic(
        precision=torch.bfloat16 if group.first(lambda: chosen.precision == torch.bfloat16) else torch.float32,
        winograd=group.first(lambda: chosen.winograd),
        grouped_batch_norm=group.first(lambda: chosen.grouped_batch_norm),
        product_gradient=group.first(lambda: chosen.product_gradient),
        reason=chosen.reason or "as rank 0 has chosen",
    )


def _choose_on_gpu(device: torch.device) -> Arithmetic:
    major, minor = torch.cuda.get_device_capability(device)
    return replace(BF16 if major >= 8 else FP32, reason=f"a GPU of compute capability {major}.{minor}")


def _choose_on_cpu(network: NetworkConfig, image_size: int, batch_size: int, clock: Clock) -> Arithmetic:
    convolutions = list(_convolutions(network, image_size))
    chosen, why = _choose_precision(convolutions, batch_size, clock)
    plain = replace(chosen, winograd=False)

    def gains(layer: Layer, way: Arithmetic, *names: str) -> bool:
        found = clock(layer, plain, way)
        why.append(_told(found, *names))
        return _gain(found) >= GAIN

    small = [each for each in convolutions if weight_gradient.fits(batch_size, *each)]
    if plain == BF16 and small:
        layer, way = _part_of(_costliest(small), batch_size), replace(plain, product_gradient=True)
        chosen = replace(chosen, product_gradient=gains(layer, way, "torch's weight gradient", "as a product"))
    norm = _costliest_norm(network, image_size, batch_size)
    if norm is not None:
        way = replace(plain, grouped_batch_norm=True)
        chosen = replace(chosen, grouped_batch_norm=gains(norm, way, "torch's batch norm", "by groups of pixels"))
    return replace(chosen, reason=f"measured here: {'; '.join(why)}")


def _choose_precision(
    convolutions: Sequence[Convolution], batch_size: int, clock: Clock
) -> tuple[Arithmetic, list[str]]:
    """bf16 or float32, the latter with Winograd's convolutions where they are faster; and what was measured."""
    found = clock(_part_of(_costliest(convolutions), batch_size), FP32, BF16)
    bf16_gain, why = _gain(found), [_told(found, "float32", "bfloat16")]
    small, winograd_gain = [each for each in convolutions if winograd.fits(batch_size, *each)], 1.0
    if small:
        found = clock(_least_for_winograd(_costliest(small).side), FP32, WINOGRAD)
        why.append(_told(found, "direct convolution", "Winograd's"))
        winograd_gain = _gain(found) if _gain(found) >= GAIN else 1.0

    others = 1 - sum(each.macs for each in small) / sum(each.macs for each in convolutions)
    fp32_gain = 1 / (others + (1 - others) / winograd_gain)
    if bf16_gain >= BF16_GAIN * fp32_gain:
        return BF16, why
    return WINOGRAD if winograd_gain > 1 else FP32, why


def _gain(found: Timed | None) -> float:
    return 1.0 if found is None else found.gain


def _told(found: Timed | None, before: str, after: str) -> str:
    if found is None:
        return f"too much else runs here to time {after} beside {before}"
    return f"{found.layer}: {before} {found.before * 1000:.2f} ms, {after} {found.after * 1000:.2f} ms"


def _convolutions(network: NetworkConfig, side: int) -> Iterator[Convolution]:
    """Those with stride 1 inside the blocks; each block has one or two."""
    channels = network.stem
    for block in chain.from_iterable(network.stages):
        if block.stride == 1 or block.pooled:
            yield Convolution(channels, block.inner, side)
        side = -(-side // block.stride)
        yield Convolution(block.inner, block.outer, side)
        channels = block.outer


def _costliest(convolutions: Sequence[Convolution]) -> Convolution:
    """The one that takes most of a step, equal ones added up."""
    counts = Counter(convolutions)
    return max(counts, key=lambda each: counts[each] * each.macs)


def _part_of(convolution: Convolution, batch_size: int) -> Layer:
    """So many images of it, or of a single image so many rows, or pixels of a row, as are quickly computed."""
    channels, filters, side = min(convolution.channels, WIDTH), min(convolution.filters, WIDTH), convolution.side
    pixels = MACS // (9 * channels * filters)
    images, rows = min(max(pixels // side**2, 1), batch_size), min(max(pixels // side, 1), side)
    return Layer(channels, images, rows, min(pixels, side), threads=1, filters=filters)


def _least_for_winograd(side: int) -> Layer:
    """The smallest layer that it is meant for: where that is faster, larger ones are, too."""
    width = winograd.LEAST_CHANNELS
    return Layer(width, winograd.LEAST_IMAGES, side, side, threads=1, filters=width)


def _costliest_norm(network: NetworkConfig, side: int, batch_size: int) -> Layer | None:
    """A part of the largest batch norm that groups of pixels are meant for, if there is one."""
    maps = [(network.stem, side)]
    for block in chain.from_iterable(network.stages):
        side = -(-side // block.stride)
        maps += [(block.inner, side), (block.outer, side)]
    sizes = [(channels, batch_size * side**2) for channels, side in maps]
    fitting = [(channels, pixels) for channels, pixels in sizes if batch_norm.fits(channels, pixels)]
    if not fitting:
        return None
    channels, pixels = max(fitting, key=math.prod)
    rows = min(pixels, NORM_PIXELS) // batch_norm.CACHE_LINE
    return Layer(min(channels, WIDTH), 1, rows, batch_norm.CACHE_LINE, threads=torch.get_num_threads())
