"""From bytes to what the network sees."""

from torch import Tensor


def normalize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Images `(N, 3, H, W) uint8` as float32 of mean 0 and deviation 1 a channel; `mean`, `std` `(3,)` in 0 to 1."""
    scale = (std * 255).view(3, 1, 1)
    return (images - (mean * 255).view(3, 1, 1)) / scale
