"""Logits of images that are not augmented."""

import math

import torch
from torch import Tensor

from resnet_core.augment import normalize
from resnet_core.model import ResNet

BATCH = 1024


@torch.inference_mode()
def predict(
    model: ResNet, images: Tensor, mean: Tensor, std: Tensor, precision: torch.dtype, *, flip: bool = False
) -> Tensor:
    """Logits `(N, classes) float32` of images `(N, 3, H, W) uint8`. The model is left in evaluation mode.

    With `flip`, the probabilities of each image and of its mirror image are averaged (test-time augmentation), and
    the logarithms of the averages are returned.
    """
    model.eval()
    parts = []
    for batch in images.split(BATCH):
        x = normalize(batch, mean, std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
            logits = model(x)
            mirrored = model(x.flip(3)) if flip else None
        if mirrored is not None:
            logits = torch.logaddexp(logits.float().log_softmax(1), mirrored.float().log_softmax(1)) - math.log(2)
        parts.append(logits.float())
    return torch.cat(parts)
