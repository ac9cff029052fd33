"""Batch norm for numbers of channels at which torch's own is slow on several threads of a CPU.

Each of torch's threads adds up the activations in a row of `C` floats, and the rows of all threads lie next to each
other in memory. Unless a row fills whole cache lines, two threads keep writing to the same line: with 53 channels, two
threads are slower than one. Here several neighbouring pixels are passed to torch as one pixel with so many more
channels that its row fills whole cache lines, and the statistics of these channels are combined afterwards.

The three kernels of torch that do the work are not documented; the tests of this module compare them with
`torch.nn.functional.batch_norm`.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CACHE_LINE = 16  # floats

# Where this was measured to be faster than torch's batch norm (tests/benchmarks/training_batch_norm.py), on CPUs where
# it is faster at all. With fewer pixels, combining the statistics costs more time than the rows save.
LEAST_PIXELS = 8192


def fits(channels: int, pixels: int) -> bool:
    """Whether `batch_norm` is meant for so many pixels: it is on several threads, for many pixels of which a single one
    does not fill whole cache lines.
    """
    members = group_size(channels)
    return torch.get_num_threads() > 1 and members > 1 and pixels >= LEAST_PIXELS and pixels % members == 0


def pays(x: Tensor) -> bool:
    """Whether `batch_norm` is meant for `x`, which only on a CPU it is."""
    channels = x.shape[1]
    return (
        x.device.type == "cpu"
        and fits(channels, x.numel() // channels)
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def group_size(channels: int) -> int:
    """How many pixels together fill whole cache lines."""
    return CACHE_LINE // math.gcd(channels, CACHE_LINE)


def batch_norm(
    x: Tensor, weight: Tensor, bias: Tensor, running_mean: Tensor, running_var: Tensor, momentum: float, eps: float
) -> Tensor:
    """The same as `torch.nn.functional.batch_norm` in training, but for rounding.

    Args:
        x: `(N, C, H, W)`, channels_last; `N * H * W` is a multiple of `group_size(C)`.
        weight: `(C,)`. It and the three tensors that follow are in float32 where `x` is in bfloat16.
        bias: `(C,)`.
        running_mean: `(C,)`, updated in place.
        running_var: `(C,)`, updated in place.
        momentum: the share that this batch has in the running statistics.
        eps: added to the variance.

    """
    y: Tensor = _BatchNorm.apply(x, weight, bias, running_mean, running_var, momentum, eps)
    return y


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
    ) -> Tensor:
        grouped, members, pixels = _grouped(x), group_size(len(weight)), x.numel() // len(weight)
        # torch updates these running statistics, which nobody reads; their precision is that of its results.
        running = torch.zeros(2, grouped.shape[1], dtype=weight.dtype)
        statistics = torch.batch_norm_update_stats(grouped, running[0], running[1], momentum=1)
        means, variances = (statistic.view(members, -1) for statistic in statistics)
        mean = means.mean(dim=0)
        variance = variances.mean(dim=0) + (means - mean).square().mean(dim=0)
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(variance * (pixels / (pixels - 1)), momentum)

        y = torch.empty_like(x)  # returned itself and not as a view, so that a ReLU may overwrite it
        _scale(grouped, weight, bias, mean, variance + eps, out=_grouped(y))
        ctx.save_for_backward(x, weight, mean, variance + eps)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        grouped = _grouped(x)
        grouped_grad_y = _grouped(grad_y.contiguous(memory_format=torch.channels_last))
        members, pixels = group_size(len(weight)), x.numel() // len(weight)
        each = (channel.repeat(members) for channel in (mean, variance.rsqrt()))
        sums = torch.ops.aten.native_batch_norm_backward(
            grouped_grad_y, grouped, weight.repeat(members), None, None, *each, True, 0.0, [False, True, True]
        )
        grad_weight, grad_bias = (parts.view(members, -1).sum(dim=0) for parts in sums[1:])

        # grad_x = slope * (grad_y - grad_bias / pixels - normalised x * grad_weight / pixels), a sum of zero over all
        # pixels. The slope is rounded to the type of x first, so that the rounded terms still add up to zero.
        slope = (weight * variance.rsqrt()).to(x.dtype)
        grad_x = torch.empty_like(x)
        scaled = (-slope * grad_weight / pixels, -slope * grad_bias / pixels)
        _scale(grouped, *scaled, mean, variance, out=_grouped(grad_x))
        _grouped(grad_x).addcmul_(grouped_grad_y, slope.repeat(members).view(1, -1, 1, 1))
        return grad_x, grad_weight, grad_bias, None, None, None, None


def _grouped(x: Tensor) -> Tensor:
    """`(N, C, H, W)` seen as `(1, G * C, N * H * W / G, 1)` for groups of G pixels, without a copy."""
    width = x.shape[1] * group_size(x.shape[1])
    return x.permute(0, 2, 3, 1).view(-1, width).t()[None, :, :, None]


def _scale(grouped: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, *, out: Tensor) -> None:
    """Writes `weight * (x - mean) / sqrt(variance) + bias` to `out`; the four are `(C,)`."""
    members = grouped.shape[1] // len(weight)
    weight, bias, mean, variance = (channel.repeat(members) for channel in (weight, bias, mean, variance))
    none = weight.new_empty(0)
    torch.native_batch_norm(grouped, weight, bias, mean, variance, False, 0.0, 0.0, out=(out, none, none))
