"""Rectangles that random erasing blanks and cutmix pastes. They are `(N, 4)`: top, left, height, width."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ERASING_TRIES = 10


def draw_erasing(n: int, size: int, probability: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Random erasing (Zhong et al. 2020) with torchvision's settings; height and width are 0 where nothing is erased.

    The area is 2 to 33 % of the image, the aspect ratio 0.3 to 3.3 (uniform in the logarithm). A rectangle that
    does not fit is drawn again, up to ten times.
    """
    shape = (n, ERASING_TRIES)
    area = size * size * rng.uniform(0.02, 0.33, shape)
    aspect = np.exp(rng.uniform(math.log(0.3), math.log(3.3), shape))
    height, width = np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))
    fits = (height < size) & (width < size)
    first = fits.argmax(axis=1)
    erased = fits.any(axis=1) & (rng.random(n) < probability)
    h = np.where(erased, height[np.arange(n), first], 0).astype(np.int64)
    w = np.where(erased, width[np.arange(n), first], 0).astype(np.int64)
    return np.stack((rng.integers(size - h + 1), rng.integers(size - w + 1), h, w), axis=1)


def draw_cutmix(share: NDArray[np.float64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Cutmix's boxes (Yun et al. 2019) with the area 1 - `share`, `(N,)`, around a random centre.

    What lies beyond the border of the image is cut off.
    """
    half = (0.5 * np.sqrt(1 - share) * size).astype(np.int64)
    centre = rng.integers(size, size=(len(share), 2))
    low = np.maximum(centre - half[:, None], 0)
    high = np.minimum(centre + half[:, None], size)
    return np.concatenate((low, high - low), axis=1)


def mask(rectangles: Tensor, size: int) -> Tensor:
    """`(N, 1, size, size) bool`, true inside the rectangles `(N, 4)`."""
    position = torch.arange(size, device=rectangles.device)
    start, extent = rectangles[:, :2, None], rectangles[:, 2:, None]
    inside = (position >= start) & (position < start + extent)  # (N, 2, size): rows and columns
    return (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None]
