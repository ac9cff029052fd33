"""Images as the network sees them."""

from torch import Tensor


def normalize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Images `(N, 3, H, W) uint8` as float32 with mean 0 and standard deviation 1 in each channel.

    `mean` and `std` are `(3,)`, on a scale on which the byte 255 is 1.
    """
    scale = (std * 255).view(3, 1, 1)
    return (images - (mean * 255).view(3, 1, 1)).div_(scale)
