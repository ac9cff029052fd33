"""3x3 convolutions of small feature maps with fewer multiplications: Winograd's minimal filtering F(4x4, 3x3).

Lavin & Gray 2016 (arXiv:1509.09308): tiles of 4 x 4 outputs take 36 multiplications a channel instead of 144. On maps
of 8 x 8 pixels and less all transforms are products with constant matrices, so that nothing but matrix products is
left, forward and backward. Larger maps are bound by memory there, and faster in torch's own convolution.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TILE, TAPS = 4, 3
# Where polynomials are evaluated besides infinity. Of the usual choices these err least (relative error of a
# convolution of 256 channels in float32: 1.9e-6; with 0, 1, -1, 2, -2 it is 2.9e-6, of the direct sum 1.6e-7).
POINTS = (0.0, 1.0, -1.0, 2.0, -0.5)
POINT_PAIRS = (len(POINTS) + 1) ** 2

# Where it was faster than torch's, by measurement (tests/benchmarks/training_arithmetic.py): of what the tiles of other
# sizes compute, too much lies beyond the border; with fewer channels or images the transforms cost what they save.
SIDES, LEAST_CHANNELS, LEAST_IMAGES = {4, 7, 8}, 96, 32


class Transforms(NamedTuple):
    """Matrices for maps of one size: P pixels, covered by T tiles."""

    pixels: Tensor  # (36 T, P)
    kernel: Tensor  # (36, 9)
    outputs: Tensor  # (P, 36 T)


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether `conv2d` is faster than torch's: on a CPU, in float32, for small maps of many channels."""
    images, channels, *sides = x.shape
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and SIDES.issuperset(sides)
        and min(channels, len(weight)) >= LEAST_CHANNELS
        and images >= LEAST_IMAGES
    )


def conv2d(x: Tensor, weight: Tensor) -> Tensor:
    """What `torch.nn.functional.conv2d(x, weight, padding=1)` is, beyond rounding.

    Args:
        x: `(N, C, H, W)`.
        weight: `(O, C, 3, 3)`.

    """
    images, channels, rows, columns = x.shape
    filters = len(weight)
    transforms = transforms_of(rows, columns, x.dtype)
    pixels = x.permute(2, 3, 0, 1).reshape(rows * columns, images * channels)
    taps = weight.permute(2, 3, 0, 1).reshape(TAPS**2, filters * channels)
    inputs = (transforms.pixels @ pixels).view(POINT_PAIRS, -1, channels)
    kernels = (transforms.kernel @ taps).view(POINT_PAIRS, filters, channels)
    products = torch.bmm(inputs, kernels.transpose(1, 2)).view(-1, images * filters)
    outputs = (transforms.outputs @ products).view(rows, columns, images, filters)
    return outputs.permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)


@cache
def transforms_of(rows: int, columns: int, dtype: torch.dtype) -> Transforms:
    down_pixels, down_outputs = _along(rows)
    across_pixels, across_outputs = _along(columns)
    _, kernel, _ = cook_toom(TILE, TAPS, POINTS)
    pixels = np.einsum("ptr,qsc->pqtsrc", down_pixels, across_pixels).reshape(-1, rows * columns)
    outputs = np.einsum("rpt,cqs->rcpqts", down_outputs, across_outputs).reshape(rows * columns, -1)
    return Transforms(*(torch.from_numpy(m).to(dtype) for m in (pixels, np.kron(kernel, kernel), outputs)))


def _along(length: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One axis of `length` pixels with a border of one: `(6, tiles, length)`, and back `(length, 6, tiles)`."""
    of_inputs, _, of_products = cook_toom(TILE, TAPS, POINTS)
    points, tiles = len(of_inputs), -(-length // TILE)
    padded = np.zeros((points, tiles, tiles * TILE + TAPS - 1))
    outputs = np.zeros((tiles * TILE, points, tiles))
    for tile in range(tiles):
        first = tile * TILE
        padded[:, tile, first : first + points] = of_inputs
        outputs[first : first + TILE, :, tile] = of_products
    return padded[:, :, 1 : 1 + length], outputs[:length]


def cook_toom(
    outputs: int, taps: int, points: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The matrices B, G and A of a correlation, y = A ((G w) * (B x)): of polynomials' values at `points` and infinity.

    B is `(n, n)`, G `(n, taps)`, A `(outputs, n)`, where n = outputs + taps - 1 is one more than there are points.
    """
    n = outputs + taps - 1
    inputs, kernel, products = np.zeros((n, n)), np.zeros((n, taps)), np.zeros((outputs, n))
    for row, point in enumerate(points):
        others = [other for other in points if other != point]
        inputs[row, :-1] = np.poly(others)[::-1]
        kernel[row] = point ** np.arange(taps) / np.prod([point - other for other in others])
        products[:, row] = point ** np.arange(outputs)
    inputs[-1] = np.poly(points)[::-1]
    kernel[-1, -1] = products[-1, -1] = 1
    return inputs, kernel, products
