"""Logits of images that are not augmented."""

import math
from itertools import chain

import torch
from torch import Tensor

from resnet_core.augment import normalize
from resnet_core.description import NetworkConfig
from resnet_core.model import ResNet

MOST_IMAGES = 1024  # of a batch; more do not keep a device busier
# Numbers of a batch's largest activation, 256 MiB in fp32: those of 1,024 images of 32x32 in a network of width 64.
# About four such activations are alive at once, the convolution's workspace included.
LARGEST_ACTIVATION = 2**26


@torch.inference_mode()
def predict(
    model: ResNet, images: Tensor, mean: Tensor, std: Tensor, precision: torch.dtype, *, flip: bool = False
) -> Tensor:
    """Logits `(N, classes) float32` of images `(N, 3, H, W) uint8`. The model is left in evaluation mode.

    With `flip`, the probabilities of each image and of its mirror image are averaged (test-time augmentation), and
    the logarithms of the averages are returned. How many images are computed at once depends on their size and on the
    network, and changes the logits by no more than rounding.
    """
    model.eval()
    parts = []
    for batch in images.split(images_at_once(model.config(), *images.shape[2:])):
        x = normalize(batch, mean, std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
            logits = model(x)
            mirrored = model(x.flip(3)) if flip else None
        if mirrored is not None:
            logits = torch.logaddexp(logits.float().log_softmax(1), mirrored.float().log_softmax(1)) - math.log(2)
        parts.append(logits.float())
    return torch.cat(parts)


def images_at_once(network: NetworkConfig, height: int, width: int) -> int:
    """How many images of so many pixels a batch has, so that its memory is bounded: at least one, at most 1,024."""
    largest = max(3, network.stem) * height * width
    for block in chain.from_iterable(network.stages):
        if block.pooled:  # behind the first convolution
            largest = max(largest, block.inner * height * width)
        height, width = math.ceil(height / block.stride), math.ceil(width / block.stride)
        largest = max(largest, max(block.inner, block.outer) * height * width)
    return min(max(LARGEST_ACTIVATION // largest, 1), MOST_IMAGES)
