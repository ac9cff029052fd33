"""What the settings of a policy come to: for each kind of operation a table with the parameters of its settings.

Magnitudes mean what they mean in torchvision: a slope for shears, pixels for translations, degrees (anticlockwise) for
rotations, for colours what is added to the factor 1, bits for posterize, and for solarize the threshold as a fraction
of 255. An image is sheared from its top left corner and rotated about its centre. The area left empty is black, and
each pixel takes the value of the nearest one in the source.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from resnet_core.augment import operations
from resnet_core.augment.policies import Setting


class Kind(NamedTuple):
    """An operation of `operations.py`, and the parameters of all its settings, a row each."""

    apply: Callable[[Tensor, Tensor], Tensor]
    table: Tensor


@dataclass(frozen=True)
class Tables:
    """Each kind of operation in a policy; setting s is row `row[s]` in the table of `kinds[kind[s]]`."""

    kinds: list[Kind]
    kind: NDArray[np.int64]
    row: NDArray[np.int64]


@cache
def build_tables(settings: tuple[Setting, ...], size: int, device: torch.device) -> Tables:
    """Tables for images of `size` x `size` pixels. They are computed on the CPU and kept, on the device."""
    rows: dict[Callable[[Tensor, Tensor], Tensor], list[Tensor]] = {}
    kind, row = np.zeros(len(settings), dtype=np.int64), np.zeros(len(settings), dtype=np.int64)
    for index, (name, magnitude) in enumerate(settings):
        apply, parameters = PARAMETERS[name]
        of_kind = rows.setdefault(apply, [])
        kind[index], row[index] = list(rows).index(apply), len(of_kind)
        of_kind.append(parameters(magnitude, size))
    return Tables([Kind(apply, torch.stack(of_kind).to(device)) for apply, of_kind in rows.items()], kind, row)


def _nothing(_magnitude: float, _size: int) -> Tensor:
    return torch.empty(0)


def _shares(change: float, _size: int) -> Tensor:
    """The share of the image in a blend, which may be above 1, and that of the other image."""
    return torch.tensor([1.0 + change, 1.0 - (1.0 + change)])


def _mask(bits: float, _size: int) -> Tensor:
    return torch.tensor([256 - (1 << (8 - int(bits)))], dtype=torch.uint8)


def _threshold(fraction: float, _size: int) -> Tensor:
    return torch.tensor([math.ceil(np.float32(255.0 * fraction))], dtype=torch.uint8)


def _rotation(degrees: float, size: int) -> Tensor:
    if degrees % 90 == 0:  # no pixel's source lies just between two
        numbers = torch.arange(1, size * size + 1).view(size, size)
        return numbers.rot90(int(degrees // 90)).flatten().int()
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return _sources((cos, -sin, 0.0), (sin, cos, 0.0), size)


def _sources(x: tuple[float, float, float], y: tuple[float, float, float], size: int) -> Tensor:
    """For each pixel of a moved image the number of its source, from 1, or 0 where that is outside; `(size * size,)`.

    A pixel at (column, row), in pixels from the centre, comes from the scalar products of `x` and of `y` with
    (column, row, 1). All is computed in float32, and in the order in which torchvision does, so that a source between
    two pixels is rounded to the same one.
    """
    position = torch.linspace((1.0 - size) * 0.5, (size - 1.0) * 0.5, size)
    columns, rows = position.expand(size, -1), position[:, None].expand(-1, size)
    pixels = torch.stack((columns, rows, torch.ones(size, size)), dim=-1).view(1, -1, 3)
    grid = pixels.bmm(torch.tensor([[x, y]]).view(1, 2, 3).transpose(1, 2) / (0.5 * size)).view(1, size, size, 2)
    numbers = torch.arange(1.0, size * size + 1).view(1, 1, size, size)
    found = F.grid_sample(numbers, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return found.flatten().int()


PARAMETERS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[float, int], Tensor]]] = {
    "Identity": (operations.keep, _nothing),
    "ShearX": (operations.move, lambda s, size: _sources((1.0, s, s * size / 2), (0.0, 1.0, 0.0), size)),
    "ShearY": (operations.move, lambda s, size: _sources((1.0, 0.0, 0.0), (s, 1.0, s * size / 2), size)),
    "TranslateX": (operations.move, lambda d, size: _sources((1.0, 0.0, -int(d)), (0.0, 1.0, 0.0), size)),
    "TranslateY": (operations.move, lambda d, size: _sources((1.0, 0.0, 0.0), (0.0, 1.0, -int(d)), size)),
    "Rotate": (operations.move, _rotation),
    "Brightness": (operations.brightness, _shares),
    "Color": (operations.color, _shares),
    "Contrast": (operations.contrast, _shares),
    "Sharpness": (operations.sharpness, _shares),
    "Posterize": (operations.posterize, _mask),
    "Solarize": (operations.solarize, _threshold),
    "AutoContrast": (operations.autocontrast, _nothing),
    "Equalize": (operations.equalize, _nothing),
    "Invert": (operations.solarize, lambda _magnitude, _size: torch.zeros(1, dtype=torch.uint8)),
}
