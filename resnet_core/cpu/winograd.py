"""3x3 convolutions of small feature maps with fewer multiplications: Winograd's minimal filtering F(4x4, 3x3).

Lavin & Gray 2016 (arXiv:1509.09308): tiles of 4 x 4 outputs take 36 multiplications a channel instead of 144. On maps
of 8 x 8 pixels and less all transforms are products with constant matrices here, so that forward and backward pass
consist of matrix products alone. For larger maps, such transforms are limited by the speed of memory, and torch's own
convolution is faster.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TILE, TAPS = 4, 3
# The points, besides infinity, at which the method evaluates polynomials. Of the usual choices these give the smallest
# error: relative to a convolution of 256 channels it is 1.9e-6 in float32. With 0, 1, -1, 2, -2 it is 2.9e-6, and a
# direct sum has 1.6e-7.
POINTS = (0.0, 1.0, -1.0, 2.0, -0.5)
POINT_PAIRS = (len(POINTS) + 1) ** 2

# Where this was measured to be faster than torch's convolution (tests/benchmarks/training_arithmetic.py), on CPUs where
# it is faster at all. At other sides, too much of what the tiles compute lies beyond the border of the map. With fewer
# channels or images, the transforms cost more time than the products save.
SIDES, LEAST_CHANNELS, LEAST_IMAGES = {4, 7, 8}, 96, 32


class Transforms(NamedTuple):
    """The constant matrices for maps of one size, which have P pixels and are covered by T tiles."""

    pixels: Tensor  # (36 T, P)
    kernel: Tensor  # (36, 9)
    outputs: Tensor  # (P, 36 T)


def fits(images: int, channels: int, filters: int, *sides: int) -> bool:
    """Whether `conv2d` is meant for maps of such sides: it is for small ones of many channels."""
    return SIDES.issuperset(sides) and min(channels, filters) >= LEAST_CHANNELS and images >= LEAST_IMAGES


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether `conv2d` is meant for `x`, which only on a CPU and in float32 it is."""
    images, channels, *sides = x.shape
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and fits(images, channels, len(weight), *sides)
    )


def conv2d(x: Tensor, weight: Tensor) -> Tensor:
    """The same as `torch.nn.functional.conv2d(x, weight, padding=1)`, but for rounding.

    Args:
        x: `(N, C, H, W)`.
        weight: `(O, C, 3, 3)`.

    """
    images, channels, rows, columns = x.shape
    filters = len(weight)
    transforms = build_transforms(rows, columns, x.dtype)
    pixels = x.permute(2, 3, 0, 1).reshape(rows * columns, images * channels)
    taps = weight.permute(2, 3, 0, 1).reshape(TAPS**2, filters * channels)
    inputs = (transforms.pixels @ pixels).view(POINT_PAIRS, -1, channels)
    kernels = (transforms.kernel @ taps).view(POINT_PAIRS, filters, channels)
    products = torch.bmm(inputs, kernels.transpose(1, 2)).view(-1, images * filters)
    outputs = (transforms.outputs @ products).view(rows, columns, images, filters)
    return outputs.permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)


@cache
def build_transforms(rows: int, columns: int, dtype: torch.dtype) -> Transforms:
    down_pixels, down_outputs = _along(rows)
    across_pixels, across_outputs = _along(columns)
    _, kernel, _ = cook_toom(TILE, TAPS, POINTS)
    pixels = np.einsum("ptr,qsc->pqtsrc", down_pixels, across_pixels).reshape(-1, rows * columns)
    outputs = np.einsum("rpt,cqs->rcpqts", down_outputs, across_outputs).reshape(rows * columns, -1)
    return Transforms(*(torch.from_numpy(m).to(dtype) for m in (pixels, np.kron(kernel, kernel), outputs)))


def _along(length: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The transforms along one axis of `length` pixels with a border of one pixel.

    `(6, tiles, length)` from pixels to points, and `(length, 6, tiles)` from points back to pixels.
    """
    to_points, _, from_points = cook_toom(TILE, TAPS, POINTS)
    points, tiles = len(to_points), -(-length // TILE)
    padded = np.zeros((points, tiles, tiles * TILE + TAPS - 1))
    outputs = np.zeros((tiles * TILE, points, tiles))
    for tile in range(tiles):
        first = tile * TILE
        padded[:, tile, first : first + points] = to_points
        outputs[first : first + TILE, :, tile] = from_points
    return padded[:, :, 1 : 1 + length], outputs[:length]


def cook_toom(
    outputs: int, taps: int, points: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The matrices B, G and A with which a correlation of `x` with `w` is y = A ((G w) * (B x)), by Cook and Toom.

    They evaluate polynomials at `points` and at infinity. B is `(n, n)`, G `(n, taps)` and A `(outputs, n)`, where
    n = outputs + taps - 1 is one more than the number of points.
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
