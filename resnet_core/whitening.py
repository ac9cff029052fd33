"""A first convolution that whitens, as the fastest trainings begin with (Page 2019; Jordan 2024, section 3.2)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

REGULARIZER = 5e-4  # of the variances; directions that vary less are noise

MOST_PATCHES = 2**18  # that are looked at at once, which bounds the memory


@torch.no_grad()
def whiten(stem: nn.Conv2d, images: Tensor) -> None:
    """Sets filters of `stem` so that their outputs on such images are uncorrelated and vary equally.

    They are the principal components of the images' patches, those of the largest variance first, each with both signs,
    as a ReLU follows. A wider stem keeps the rest of its filters, a narrower one has fewer components.

    Args:
        stem: on the CPU.
        images: normalised, `(N, 3, H, W)`, on the CPU.

    """
    shape = stem.weight.shape
    size = shape[1:].numel()
    count, sums, squares = 0, torch.zeros(size, dtype=torch.float64), torch.zeros(size, size, dtype=torch.float64)
    for part in images.split(max(MOST_PATCHES // images[0, 0].numel(), 1)):
        patches = F.unfold(part.double(), shape[2:]).transpose(1, 2).flatten(0, 1)
        count, sums, squares = count + len(patches), sums + patches.sum(dim=0), squares + patches.T @ patches
    mean = sums / count
    variances, directions = torch.linalg.eigh(squares / count - mean.outer(mean))
    directions = directions.T
    # An eigenvector may point either way. That its largest component is positive makes it the same on every machine.
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    filters = directions * largest.sign() / (variances.clamp(min=0) + REGULARIZER).sqrt()[:, None]
    both = torch.stack((filters, -filters), dim=1).flip(0).flatten(0, 1)[: shape[0]]
    stem.weight[: len(both)] = both.view(-1, *shape[1:]).to(stem.weight.dtype)
