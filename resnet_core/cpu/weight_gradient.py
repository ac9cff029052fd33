"""3x3 convolutions of small feature maps in bf16 whose weight gradient is one matrix product.

oneDNN's own gradient goes along the rows of a map. Where these have few pixels, it hardly uses a matrix unit (Intel
AMX) and takes up to ten times as long as the rest of the layer. Here each pixel's gradient is multiplied with the nine
inputs that it came from, which are copied side by side (im2col; Chellapilla et al. 2006).
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

TAPS = 3

# Where this was measured to be faster (tests/benchmarks/training_arithmetic.py), on CPUs where it is faster at all.
LARGEST_SIDE, LEAST_CHANNELS, LEAST_IMAGES = 8, 64, 32


def fits(images: int, channels: int, filters: int, *sides: int) -> bool:
    """Whether `conv2d` is meant for outputs of such sides: for small ones of many channels."""
    return max(sides) <= LARGEST_SIDE and min(channels, filters) >= LEAST_CHANNELS and images >= LEAST_IMAGES


def pays(x: Tensor, weight: Tensor, stride: int) -> bool:
    """Whether `conv2d` is meant for `x`, which only on a CPU and in bf16 it is."""
    images, channels, *sides = x.shape
    return (
        x.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and fits(images, channels, len(weight), *(-(-side // stride) for side in sides))
    )


def conv2d(x: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    """The same as `torch.nn.functional.conv2d(x, weight, stride=stride, padding=1)` under autocast to bf16.

    Args:
        x: `(N, C, H, W)`.
        weight: `(O, C, 3, 3)`.
        stride: in pixels, along both axes.

    """
    y: Tensor = _Convolution.apply(x.bfloat16(), weight.bfloat16(), stride)
    return y


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, stride=stride, padding=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        of_x, of_weight = None, None
        if ctx.needs_input_grad[0]:
            shape = (ctx.stride,) * 2, (1, 1), (1, 1), False, (0, 0), 1  # stride, padding, dilation; not transposed
            mask = (True, False, False)
            of_x = torch.ops.aten.convolution_backward(gradient, x, weight, None, *shape, mask)[0]
        if ctx.needs_input_grad[1]:
            of_weight = weight_gradient(gradient, x, ctx.stride)
        return of_x, of_weight, None


def weight_gradient(gradient: Tensor, x: Tensor, stride: int) -> Tensor:
    """`(O, C, 3, 3)`, of the output's gradient `(N, O, H', W')`, channels_last, and the input `(N, C, H, W)`."""
    channels = x.shape[1]
    filters = gradient.shape[1]
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    taps = padded.unfold(1, TAPS, stride).unfold(2, TAPS, stride)
    inputs = taps.permute(0, 1, 2, 4, 5, 3).reshape(-1, TAPS**2 * channels)
    outputs = gradient.permute(0, 2, 3, 1).reshape(-1, filters)
    return (outputs.t() @ inputs).view(filters, TAPS, TAPS, channels).permute(0, 3, 1, 2)
